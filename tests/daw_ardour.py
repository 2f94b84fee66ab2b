"""A real Ardour session with one recorded stereo region, and its scripts run in Ardour's own Lua."""

import re
import subprocess
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 48000
START, LENGTH, POSITION = 24000, 57600, 96000  # of the region, in samples
PROGRAM_LIMIT_S = 120.0
_SUPERCLOCKS = 282_240_000 // RATE_HZ  # Ardour's unit of time, to a sample

_CREATE = """
Session = create_session ("{folder}", "take", {rate})
local last, normal = ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal
Session:new_audio_track (2, 2, nil, 1, "Audio", last, normal, true)
Session:save_state ("")
close_session ()
"""

# What only the editor's windows give; everything else is Ardour's.
_STAND_INS = """
Session = load_session ("{folder}", "take")
assert (Session)
local function tell (...) print ("TOLD\\t" .. table.concat ({{ ... }}, "\\t")) end
local answer = {answer}
local quiet = {{ run = function () end }}
LuaDialog = {{
  Dialog = function () return {{ run = function () return answer end }} end,
  Message = function (_, text) tell ("MESSAGE", text) return quiet end,
  MessageType = {{}}, ButtonType = {{}},
  ProgressWindow = function ()
    local shown = 0
    return {{
      progress = function (_, fraction) shown = shown + 1 if fraction > 0 then tell ("PROGRESS") end end,
      canceled = function () return shown > {patience} end,
      done = function () tell ("CLOSED") end }}
  end }}
Editing = {{}}
local list
for track in Session:get_tracks ():iter () do
  list = list or track:to_track ():playlist ():region_list ()
end
Editor = {{
  get_selection = function () return {{ regions = {{ regionlist = function () return list end }} }} end,
  do_import = function (_, files, _, _, _, _, _, position)
    for file in files:iter () do tell ("IMPORT", position:samples (), file) end
  end }}
ardour = function () end
local script = assert (io.open ("{script}")):read ("a")
assert (load (script)) ()
factory () ()
for region in list:iter () do tell ("MUTED", tostring (region:muted ())) end
close_session ()
"""


def lua(code: str, home: Path) -> str:
    """Run code in Ardour's Lua; return what it printed."""
    home.mkdir(exist_ok=True)
    file = home / "code.lua"
    file.write_text(code)
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["ardour7-lua", str(file)], capture_output=True, text=True, timeout=PROGRAM_LIMIT_S, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Session:
    """A session with `audio`, float32 (2, samples), recorded on its one track."""

    def __init__(self, folder: Path, audio: np.ndarray) -> None:
        self.folder = folder / "session"
        self._home = folder / "home"
        lua(_CREATE.format(folder=self.folder, rate=RATE_HZ), self._home)
        files = self.folder / "interchange" / "session" / "audiofiles"
        files.mkdir(parents=True, exist_ok=True)
        for side, channel in zip("LR", audio, strict=True):
            soundfile.write(files / f"take%{side}.wav", channel, RATE_HZ, subtype="FLOAT")
        self._add_region()

    def _add_region(self) -> None:
        """Write a region into the session's file, as recording would."""
        path = self.folder / "take.ardour"
        sources = "".join(
            f'<Source name="take%{side}.wav" type="audio" flags="" id="{number}" channel="0" gain="1"/>'
            for number, side in ((9001, "L"), (9002, "R"))
        )
        start, length, position = (n * _SUPERCLOCKS for n in (START, LENGTH, POSITION))
        region = (
            f'<Region name="take.1" id="9010" type="audio" start="a{start}" position="a{position}" '
            f'length="a{length}@a{position}" muted="0" opaque="1" channels="2" scale-amplitude="1" '
            'source-0="9001" master-source-0="9001" source-1="9002" master-source-1="9002"/>'
        )
        text = path.read_text().replace("<Sources/>", f"<Sources>{sources}</Sources>")
        text, found = re.subn(
            r'(<Playlist id="\d+" name="Audio 1"[^>]*?)/>', rf"\1>{region}</Playlist>", text
        )
        assert found == 1
        path.write_text(text)

    def run(self, script: Path, answer: str, patience: int = 10**6) -> list[list[str]]:
        """Run an editor action with the answer of its dialog; return the lines that it printed.

        `patience` is how many looks at the progress window it takes until the user cancels.
        """
        code = _STAND_INS.format(folder=self.folder, script=script, answer=answer, patience=patience)
        lines = [line.split("\t") for line in lua(code, self._home).splitlines()]
        return [fields for told, *fields in lines if told == "TOLD"]
