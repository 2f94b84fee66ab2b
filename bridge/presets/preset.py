"""A preset: which sounds, what becomes of each, and what files come of it; checked when it is made."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Literal

from soundlasso.bridge.presets.chains import Link
from soundlasso.bridge.presets.fields import check, setting
from soundlasso.bridge.presets.problems import Problem, Problems
from soundlasso.dsp.errors import SoundlassoError
from soundlasso.dsp.gate import USUAL_THRESHOLD

if TYPE_CHECKING:
    from soundlasso.bridge.board import Board
    from soundlasso.bridge.render_result import RenderResult

REST, MIX = "rest", "mix"
Session = Literal["dawproject", "rpp", "ardour"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strip:
    """What becomes of a stem or the rest: its chain, then its level, as in a mixer."""

    chain: tuple[Link, ...] = setting((), "Effects, in order.")
    gain_db: float = setting(0.0, "Gain after the chain.", low=-120, high=40)
    pan: float = setting(0.0, "Balance of a stereo mix: -1 left, 1 right.", low=-1, high=1)
    duck_db: float | None = setting(
        None, "How much it is turned down in the mix; its own file keeps its level.", low=-120, high=0
    )
    remove: bool = setting(False, "Leave it out: no file of its own, not in the mix, not in the rest.")
    write: bool = setting(True, "Write it to a file of its own.")

    def __post_init__(self) -> None:
        """Check every setting."""
        check(self)

    @property
    def is_neutral(self) -> bool:
        """Whether its file holds the very samples of the separation."""
        return not self.chain and self.gain_db == 0 and self.pan == 0

    @property
    def is_written(self) -> bool:
        """Whether it has a file of its own."""
        return self.write and not self.remove


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stem(Strip):
    """A sound by its words: one query, or several that are summed."""

    name: str
    queries: tuple[str, ...] = setting(help="The sound in words; several are summed.", key="query")
    avoid: tuple[str, ...] = setting((), "Sounds that compete with it but give no stem.")
    gate_threshold: float = setting(
        USUAL_THRESHOLD, "The presence above which its gate opens; lower lets more through.", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Check every setting, and that the texts can be queries."""
        super().__post_init__()
        problems = [*_check_texts(self, "queries", "query"), *_check_texts(self, "avoid", "avoid")]
        if not self.queries:
            problems.append(Problem(("query",), "is empty; name at least one sound"))
        if problems:
            raise Problems(problems)


def _check_texts(stem: Stem, field: str, key: str) -> list[Problem]:
    from soundlasso.models.query import check_query

    try:
        object.__setattr__(stem, field, tuple(check_query(text) for text in getattr(stem, field)))
    except SoundlassoError as error:
        return [Problem((key,), f"cannot be a query: {error}")]
    return []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
    """Stems and rest, summed after their chains."""

    write: bool = setting(False, "Write it to a file.")
    chain: tuple[Link, ...] = setting((), "Effects on the sum, in order.")

    def __post_init__(self) -> None:
        """Check every setting."""
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """How the files are stored, and what is written beside them."""

    format: Literal["wav", "flac", "ogg"] = setting("wav", "The files' format.")
    subtype: Literal["FLOAT", "PCM_24", "PCM_16", "same"] | None = setting(
        None, "How samples are stored; FLOAT for wav and PCM_24 for flac if not given."
    )
    sample_rate: int | None = setting(
        None, "The files' rate in Hz; the input's if not given.", low=1000, high=768_000
    )
    name: str = setting("{mix} - {stem}", "How files are named; / makes folders.")
    loudness_lufs: float | None = setting(None, "The mix's loudness (BS.1770).", low=-70, high=0)
    true_peak_db: float = setting(-1.0, "What the mix's true peak may not exceed, then.", low=-40, high=0)
    pictures: bool = setting(False, "Draw spectrograms; needs matplotlib.")
    report: bool = setting(False, "Write a page to listen to it all in a browser.")
    sessions: tuple[Session, ...] = setting((), "DAW sessions to write beside the stems.")

    def __post_init__(self) -> None:
        """Check every setting, and those that go together."""
        check(self)
        problems = [
            Problem((key,), str(error))
            for key, test in (("name", self._check_name), ("subtype", self._check_kind))
            if (error := _error_of(test)) is not None
        ]
        if problems:
            raise Problems(problems)

    def _check_name(self) -> None:
        from soundlasso.bridge.naming import check_template

        check_template(self.name)

    def _check_kind(self) -> None:
        from soundlasso.bridge.audiofile_format import check_format

        check_format(self.format, self.subtype)


def _error_of(test: Any) -> SoundlassoError | None:
    try:
        test()
    except SoundlassoError as error:
        return error
    return None


_REST, _MIX, _OUTPUT = Strip(), Mix(), Output()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A whole job: sounds, what becomes of them, and the files.

    Raises
    ------
    PresetError
        Something in it cannot be; all of that is listed.
    """

    name: str = setting("preset", "What it is called; its file's name if not given.")
    description: str = setting("", "What it is for; the first line is the summary.")
    model: str = setting("lariat", "The model's name, or its weights file.")
    profile: Literal["offline", "live"] = setting(
        "offline", "How far a model with context looks ahead; live is sooner and worse. lariat needs none."
    )
    stereo: Literal["linked", "independent"] = setting("linked", "One mask for all channels, or one each.")
    gate: bool = setting(True, "Silence a stem where its sound is not there.")
    consistent: bool = setting(True, "Let the stems compete, so that they share nothing.")
    stems: tuple[Stem, ...] = setting(help="The sounds, each by a name.", key="stem")
    rest: Strip = setting(_REST, "The mix without the stems.")
    mix: Mix = setting(_MIX, "Stems and rest, summed after their chains.")
    output: Output = setting(_OUTPUT, "The files.")

    def __post_init__(self) -> None:
        """Check every setting, and those that go together."""
        check(self)
        problems = [*self._check_stems(), *self._check_files()]
        if problems:
            raise Problems(problems)

    def _check_stems(self) -> list[Problem]:
        names = [stem.name.casefold() for stem in self.stems]
        problems = [
            Problem(("stem", name), "is no name for a stem: it is taken")
            for name in (stem.name for stem in self.stems)
            if name.casefold() in (REST, MIX) or names.count(name.casefold()) > 1
        ]
        if not self.stems:
            problems.append(Problem(("stem",), "is empty; name at least one sound, as [stem.drums]"))
        queries = [query for stem in self.stems for query in stem.queries]
        problems += [
            Problem(("stem", stem.name, "query"), f"has {query!r}, which is asked for twice")
            for stem in self.stems
            for query in dict.fromkeys(stem.queries)
            if queries.count(query) > 1
        ]
        return problems

    def _check_files(self) -> list[Problem]:
        written = [strip for strip in (*self.stems, self.rest) if strip.is_written]
        if not written and not self.mix.write:
            return [Problem((), "writes no file; set write = true in [mix], [rest] or a stem")]
        problems = []
        if len(written) + self.mix.write > 1 and not {"{stem}", "{query}"} & _fields(self.output.name):
            text = f"is {self.output.name!r}, which gives all files one name; add {{stem}}"
            problems.append(Problem(("output", "name"), text))
        if self.output.loudness_lufs is not None and not self.mix.write:
            text = "is the mix's, which is not written; set write = true in [mix]"
            problems.append(Problem(("output", "loudness_lufs"), text))
        return problems

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.strip().partition("\n")[0]

    def board(self) -> "Board":
        """Return an effect that gives the preset's mix, for a `Board`, a stream or live.

        The loudness target is left out, for it takes a whole recording to meet it.

        Raises
        ------
        PluginError
            A plugin of a chain is not there, or refuses a parameter.
        """
        from soundlasso.bridge.presets.remix import make_board

        return make_board(self)

    def render(
        self, path: str | os.PathLike[str], out: str | os.PathLike[str] = "stems", **options: Any
    ) -> "RenderResult":
        """Render an audio file to the files that the preset asks for.

        Parameters
        ----------
        path
            The mix.
        out
            The folder for the files.
        **options
            As `soundlasso.bridge.presets.rendering.render_preset` takes them: start_s, length_s, existing,
            device, progress, cancel.

        Raises
        ------
        SoundlassoError
            As `soundlasso.bridge.render.render`.
        """
        from soundlasso.bridge.presets.rendering import render_preset

        return render_preset(path, self, out, **options)


def _fields(template: str) -> set[str]:
    return {field for field in ("{stem}", "{query}") if field in template}
