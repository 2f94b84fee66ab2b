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
        The numeric address that the server listens on; only its interface is told.

    Raises
    ------
    SoundlassoError
        When the package zeroconf is not installed, or the network does not let us.
    """
    try:
        from zeroconf import Error, ServiceInfo
        from zeroconf.asyncio import AsyncZeroconf
    except ImportError:
        raise SoundlassoError(
            "announcing the server needs the package zeroconf; pip install zeroconf"
        ) from None
    addresses = [ipaddress.ip_address(host).packed]
    name = f"soundlasso {socket.gethostname().partition('.')[0]} {port}"
    try:
        zeroconf = AsyncZeroconf(interfaces=[host])
        async with zeroconf:
            for kind in (OSC_TYPE, OSCQUERY_TYPE):
                info = ServiceInfo(kind, f"{name}.{kind}", port=port, addresses=addresses)
                await zeroconf.async_register_service(info)
            yield
            await zeroconf.async_unregister_all_services()
    except (Error, OSError) as error:
        raise SoundlassoError(f"cannot announce {host} port {port}: {error}") from error
