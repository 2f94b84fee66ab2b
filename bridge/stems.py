"""Several sounds at once, each through a chain of its own: remixing inside a board."""

from collections.abc import Iterable, Mapping, Sequence

from soundlasso.bridge.board import Board
from soundlasso.bridge.container import Item
from soundlasso.bridge.effect import AlignedEffect, Audio, StreamSpec, join
from soundlasso.bridge.mix import AlignedSum
from soundlasso.dsp.delay import Delay
from soundlasso.dsp.errors import QueryError
from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.models.engine import Profile
from soundlasso.models.query import check_query
from soundlasso.models.separator import DEFAULT_MODEL, Separator, Stereo, load_model
from soundlasso.models.stream import SeparationStream, check_thresholds

REST = "rest"


class Stems(AlignedEffect):
    """Each named sound through a chain of its own, aligned and summed: remixing inside a board.

    Parameters
    ----------
    chains
        Query to chain: a list of effects or a `Board`. The name ``"rest"`` stands for the mixture
        without the sounds named; if it is left out, the rest is dropped.
    avoid
        Sounds that compete with those named, and stay in the rest.
    consistent
        Let the sounds compete for each moment and pitch, so that none comes twice.
    gate_threshold
        The presence, 0 to 1, above which a sound's gate opens; the lower, the more passes. One for all
        sounds, or one each, in their order.
    model, profile, stereo, gate
        As in `SeparationStream`.

    ``stems["drums"]`` is a `Board` that may be edited while all plays; `rename` has its chain hear
    another sound, and `avoid` and `gate_threshold` may be set. How many sounds there are is fixed: one
    that came later would have no past in the chains beside it. Put another `Stems` into the board
    instead. With empty chains and a rest, the output is the input, late, to rounding.

    Raises
    ------
    QueryError
        A text that cannot be a query, the same one twice, or no query at all.
    ValueError
        A threshold that is not from 0 to 1, or not as many as there are sounds.

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
        avoid: Sequence[str] | str = (),
        consistent: bool = True,
        model: Separator | str = DEFAULT_MODEL,
        profile: Profile | None = None,
        stereo: Stereo = "linked",
        gate: bool = True,
        gate_threshold: float | Sequence[float] = USUAL_THRESHOLD,
    ) -> None:
        named: dict[str, Iterable[Item]] = {}
        for name, chain in chains.items():
            named[_new_name(name, named)] = chain
        if not set(named) - {REST}:
            raise QueryError(f"no query in {list(chains)!r}; name at least one sound beside {REST!r}")
        self._chains = {
            name: chain if isinstance(chain, Board) else Board(chain) for name, chain in named.items()
        }
        Board(self._chains.values())  # refuses an effect that is in two chains
        self._avoid = _texts(avoid)
        self._consistent, self._gate = consistent, gate
        self._gate_threshold = check_thresholds(gate_threshold, len(self.queries))
        self.model, self.profile = model, profile
        self.stereo: Stereo = stereo
        self._stream: SeparationStream | None = None

    def __getitem__(self, name: str) -> Board:
        """Return the chain of a query, or of the rest."""
        self._check_name(name)
        return self._chains[name]

    @property
    def queries(self) -> tuple[str, ...]:
        """The sounds, without the rest."""
        return tuple(name for name in self._chains if name != REST)

    @property
    def avoid(self) -> tuple[str, ...]:
        """Sounds that compete with those named, and stay in the rest; may be set while all plays."""
        return self._avoid

    @avoid.setter
    def avoid(self, texts: Sequence[str] | str) -> None:
        checked = _texts(texts)
        self._read(checked)
        self._avoid = checked

    @property
    def gate_threshold(self) -> tuple[float, ...]:
        """The presence above which each sound's gate opens; one number sets all, while all plays too."""
        return self._gate_threshold

    @gate_threshold.setter
    def gate_threshold(self, threshold: float | Sequence[float]) -> None:
        self._gate_threshold = check_thresholds(threshold, len(self.queries))

    def rename(self, name: str, query: str) -> None:
        """Have the chain of one sound hear another, from the next block on; it cross-fades.

        Raises
        ------
        KeyError
            There is no such sound.
        QueryError
            A text that cannot be a query, or one that has a chain already.
        """
        self._check_name(name)
        if name == REST:
            raise QueryError(f"{REST!r} is what no sound claims; it cannot be another")
        query = _new_name(query, [other for other in self._chains if other != name])
        if query == REST:
            raise QueryError(f"a sound cannot be called {REST!r}")
        self._read([query])
        self._chains = {query if old == name else old: chain for old, chain in self._chains.items()}

    def _check_name(self, name: str) -> None:
        if name not in self._chains:
            raise KeyError(f"no stem {name!r}; there are {', '.join(self._chains)}")

    def _read(self, texts: Sequence[str]) -> None:
        """Read texts on the thread that sets them, so that the playing one need not."""
        if self._stream is not None and texts:
            self._stream.model.embed(texts)

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
                gate_threshold=self._gate_threshold, consistent=self._consistent, avoid=self._avoid,
                profile=self.profile,
            )  # fmt: skip
        self._take_up()
        self._dry = Delay(spec.channels, stream.latency_samples)
        return stream

    def _take_up(self) -> None:
        """Have the stream go over to what was set last."""
        assert self._stream is not None
        last = {"queries": self.queries, "avoid": self._avoid, "gate_threshold": self._gate_threshold}
        for name, wanted in last.items():
            if getattr(self._stream, name) != wanted:
                setattr(self._stream, name, wanted)

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
        self._take_up()
        for chain, part in self._separate(samples):
            self._sum.add(chain, chain.push(part))
        self._measure(self._stream)
        return self._sum.take()

    def _separate(self, samples: Audio) -> list[tuple[Board, Audio]]:
        """Return what is ready of each stem, in place, with the chain it goes through."""
        assert self._stream is not None
        late, dry = self._stream.process(samples), self._dry.process(samples)
        withheld = min(self._to_withhold, samples.shape[1])
        self._to_withhold -= withheld
        stems, chains = iter(late[..., withheld:]), self._chains
        rest = dry[:, withheld:] - late[..., withheld:].sum(0) if REST in chains else dry[:, :0]
        return [(chain, rest if name == REST else next(stems)) for name, chain in chains.items()]

    def drain(self) -> Audio:
        """Return what is still inside, chains included; then all is as just started."""
        assert self._stream is not None and self._spec is not None, "drain() before start()"
        for chain, last in self._separate(self._spec.zeros(self._stream.latency_samples)):
            self._sum.add(chain, join([chain.push(last), chain.drain()]))
        rest = self._sum.take()
        self._begin(self._spec, self._stream)
        return rest

    def render(self, samples: Audio, spec: StreamSpec) -> Audio:
        """Process a whole signal, each chain on its whole stem."""
        stream = self._open(spec)
        self._begin(spec, stream)
        ready, rest = self._separate(samples), self._separate(spec.zeros(stream.latency_samples))
        total = spec.zeros(samples.shape[1])
        for (chain, first), (_, last) in zip(ready, rest, strict=True):
            total += chain.render(join([first, last]), spec)
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


def _new_name(name: str, taken: Iterable[str]) -> str:
    """Return a stem's name as it will be heard.

    Raises
    ------
    QueryError
        It cannot be a query, or has a chain already.
    """
    heard = name if name == REST else check_query(name)
    if heard in taken:
        raise QueryError(f"{heard!r} has a chain already; name each sound once")
    return heard


def _texts(texts: Sequence[str] | str) -> tuple[str, ...]:
    return tuple(check_query(text) for text in ([texts] if isinstance(texts, str) else texts))
