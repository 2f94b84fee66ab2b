"""Announce a server on the local network, as OSC and as OSCQuery, so that controllers find it by name."""

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator

from soundlasso.dsp.errors import SoundlassoError

OSC_TYPE = "_osc._udp.local."
OSCQUERY_TYPE = "_oscjson._tcp.local."


@contextlib.asynccontextmanager
async def announced(host: str, port: int) -> AsyncIterator[None]:
    """Announce a port while the block lasts.

    Parameters
    ----------
    host
        The numeric address that the server listens on; only its interface is told, or all if it is 0.0.0.0.

    Raises
    ------
    SoundlassoError
        When the package zeroconf is not installed, or the network does not let us.
    """
    try:
        from zeroconf import Error, InterfaceChoice, ServiceInfo
        from zeroconf.asyncio import AsyncZeroconf
    except ImportError:
        raise SoundlassoError(
            "announcing the server needs the package zeroconf; pip install zeroconf"
        ) from None
    is_everywhere = ipaddress.ip_address(host).is_unspecified
    addresses = [ipaddress.ip_address(text).packed for text in reachable_addresses(host)]
    name = f"soundlasso {socket.gethostname().partition('.')[0]} {port}"
    try:
        zeroconf = AsyncZeroconf(interfaces=InterfaceChoice.All if is_everywhere else [host])
        async with zeroconf:
            for kind in (OSC_TYPE, OSCQUERY_TYPE):
                info = ServiceInfo(kind, f"{name}.{kind}", port=port, addresses=addresses)
                await zeroconf.async_register_service(info)
            yield
            await zeroconf.async_unregister_all_services()
    except (Error, OSError) as error:
        raise SoundlassoError(f"cannot announce {host} port {port}: {error}") from error


def reachable_addresses(host: str) -> list[str]:
    """Return where other machines reach a server that listens on a numeric address.

    That is the address itself; nobody can connect to 0.0.0.0 or ::, which stand for all the machine's own.
    """
    if not ipaddress.ip_address(host).is_unspecified:
        return [host]
    import ifaddr  # which zeroconf brings along

    family = "is_IPv6" if ":" in host else "is_IPv4"
    texts = [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if getattr(ip, family)
    ]
    addresses = map(ipaddress.ip_address, texts)
    outside = [str(address) for address in addresses if not (address.is_loopback or address.is_link_local)]
    return outside or ["::1" if ":" in host else "127.0.0.1"]
