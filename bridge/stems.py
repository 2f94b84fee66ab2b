"""Several sounds at once, each through a chain of its own: remixing inside a board."""

from collections.abc import Iterable, Mapping

from soundlasso.bridge.board import Board
from soundlasso.bridge.container import Item
from soundlasso.bridge.effect import AlignedEffect, Audio, StreamSpec, join
from soundlasso.bridge.mix import AlignedSum
from soundlasso.dsp.delay import Delay
from soundlasso.dsp.errors import QueryError
from soundlasso.models.engine import Profile
from soundlasso.models.separator import DEFAULT_MODEL, Separator, Stereo, load_model
from soundlasso.models.stream import SeparationStream
from soundlasso.models.text import check_query

REST = "rest"


class Stems(AlignedEffect):
    """Each named sound through a chain of its own, aligned and summed: remixing inside a board.

    Parameters
    ----------
    chains
        Query to chain: a list of effects or a `Board`. The name ``"rest"`` stands for the mixture
        without the sounds named; if it is left out, the rest is dropped.
    consistent
        Let the sounds compete for each moment and pitch, so that none comes twice.
    model, profile, stereo, gate
        As in `SeparationStream`.

    ``stems["drums"]`` is a `Board` that may be edited while all plays. With empty chains and a rest,
    the output is the input, late, to rounding.

    Raises
    ------
    QueryError
        A text that cannot be a query, or no query at all.

    Examples
    --------
    >>> import pedalboard
    >>> remix = Stems({"drums": [pedalboard.Compressor(-20, 4)], "rest": [pedalboard.Gain(-6)]})
    >>> remix["drums"].append(pedalboard.Reverb())
    """

    def __init__(
        self,
        chains: Mapping[str, Iterable[Item]],
        *,
        consistent: bool = True,
        model: Separator | str = DEFAULT_MODEL,
        profile: Profile | None = None,
        stereo: Stereo = "linked",
        gate: bool = True,
    ) -> None:
        named = {name if name == REST else check_query(name): chain for name, chain in chains.items()}
        self.queries = tuple(name for name in named if name != REST)
        if not self.queries:
            raise QueryError(f"no query in {list(chains)!r}; name at least one sound beside {REST!r}")
        self._chains = {
            name: chain if isinstance(chain, Board) else Board(chain) for name, chain in named.items()
        }
        Board(self._chains.values())  # refuses an effect that is in two chains
        self._consistent, self._gate = consistent, gate
        self.model, self.profile = model, profile
        self.stereo: Stereo = stereo
        self._stream: SeparationStream | None = None

    def __getitem__(self, name: str) -> Board:
        """Return the chain of a query, or of the rest."""
        if name not in self._chains:
            raise KeyError(f"no stem {name!r}; there are {', '.join(self._chains)}")
        return self._chains[name]

    def inside(self) -> Iterable[Board]:
        """Return the chains."""
        return self._chains.values()

    @property
    def presence(self) -> dict[str, float]:
        """How surely each sound is there now, 0 to 1."""
        found = [0.0] * len(self.queries) if self._stream is None else self._stream.presence.tolist()
        return dict(zip(self.queries, found, strict=True))

    def start(self, spec: StreamSpec) -> None:
        """Load the model and begin a stream."""
        stream = self._open(spec)
        for chain in self._chains.values():
            chain.start(spec)
        self._begin(spec, stream)

    def _open(self, spec: StreamSpec) -> SeparationStream:
        stream = self._stream
        if stream is None or (stream.sample_rate, stream.channels) != (spec.sample_rate, spec.channels):
            self._stream = stream = SeparationStream(
                load_model(self.model) if isinstance(self.model, str) else self.model,
                self.queries, spec.sample_rate, spec.channels, stereo=self.stereo, gate=self._gate,
                consistent=self._consistent, profile=self.profile,
            )  # fmt: skip
        self._dry = Delay(spec.channels, stream.latency_samples)
        return stream

    def _begin(self, spec: StreamSpec, stream: SeparationStream) -> None:
        self._spec = spec
        stream.reset()
        self._dry.reset()
        self._to_withhold = stream.latency_samples
        self._sum = AlignedSum(spec, self._chains.values())
        self._measure(stream)

    def _measure(self, stream: SeparationStream) -> None:
        self.latency_samples = stream.latency_samples + max(c.latency_samples for c in self._chains.values())

    def push(self, samples: Audio) -> Audio:
        """Take any number of samples; return those that are ready."""
        assert self._stream is not None, "push() before start()"
        for name, part in self._separate(samples).items():
            self._sum.add(self._chains[name], self._chains[name].push(part))
        self._measure(self._stream)
        return self._sum.take()

    def _separate(self, samples: Audio) -> dict[str, Audio]:
        """Return what is ready of each stem, in place."""
        assert self._stream is not None
        late, dry = self._stream.process(samples), self._dry.process(samples)
        withheld = min(self._to_withhold, samples.shape[1])
        self._to_withhold -= withheld
        stems = dict(zip(self.queries, late[..., withheld:], strict=True))
        if REST in self._chains:
            stems[REST] = dry[:, withheld:] - late[..., withheld:].sum(0)
        return stems

    def drain(self) -> Audio:
        """Return what is still inside, chains included; then all is as just started."""
        assert self._stream is not None and self._spec is not None, "drain() before start()"
        last = self._separate(self._spec.zeros(self._stream.latency_samples))
        for name, chain in self._chains.items():
            self._sum.add(chain, join([chain.push(last[name]), chain.drain()]))
        rest = self._sum.take()
        self._begin(self._spec, self._stream)
        return rest

    def render(self, samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal, each chain on its whole stem."""
        stream = self._open(spec)
        self._begin(spec, stream)
        ready, rest = self._separate(samples), self._separate(spec.zeros(stream.latency_samples))
        total = spec.zeros(samples.shape[1])
        for name, chain in self._chains.items():
            total += chain.render(join([ready[name], rest[name]]), spec)
        self._spec = None
        return total

    def clear(self) -> None:
        """Forget all audio in every chain."""
        if self._spec is not None:
            for chain in self._chains.values():
                chain.clear()
            assert self._stream is not None
            self._begin(self._spec, self._stream)

    def __repr__(self) -> str:
        """Show the chains."""
        return f"Stems({ {name: list(chain) for name, chain in self._chains.items()}!r})"
