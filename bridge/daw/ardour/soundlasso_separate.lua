ardour {
	["type"]    = "EditorAction",
	name        = "soundlasso: Pull Out Sounds",
	license     = "MIT",
	author      = "The soundlasso developers",
	description = [[Asks for sounds, in words, pulls them out of the selected audio regions, and puts the stems
and what is left on new tracks, in place. soundlasso runs as a program of its own; the region is muted, because
stems and rest add up to it.]]
}

-- Ardour keeps only this function, so all the script needs is inside it.
function factory () return function ()
	local COMMAND = "@COMMAND@"
	local TITLE = "soundlasso"
	local START_LIMIT_S = 120 -- until the program says something; loading takes about ten seconds
	local SILENCE_LIMIT_S = 600
	local POLL_US = 100000

	local function complain (text)
		LuaDialog.Message (TITLE, text, LuaDialog.MessageType.Error, LuaDialog.ButtonType.Close):run ()
	end

	local function split (text)
		local queries = {}
		for query in text:gmatch ("[^,]+") do
			query = query:match ("^%s*(.-)%s*$")
			if query ~= "" then queries[#queries + 1] = query end
		end
		return queries
	end

	local function ask ()
		return LuaDialog.Dialog (TITLE, {
			{ type = "entry", key = "sounds", default = "", title = "Sounds (comma between)" },
			{ type = "checkbox", key = "mute", default = true, title = "Mute the region" },
		}):run ()
	end

	-- The files of a region's channels; one file if all channels are in it.
	local function region_files (region)
		local paths, seen = {}, {}
		for channel = 0, region:to_audioregion ():n_channels () - 1 do
			local path = region:source (channel):to_filesource ():path ()
			if not seen[path] then paths[#paths + 1] = path end
			seen[path] = true
		end
		return paths
	end

	local function write_request (region, queries, number)
		local rate = Session:nominal_sample_rate ()
		local name = string.format ("soundlasso-%d-%d.request", os.time (), number)
		local request = ARDOUR.LuaAPI.build_filename (Session:path (), name)
		local file, reason = io.open (request, "wb")
		if not file then return nil, reason end
		for _, path in ipairs (region_files (region)) do file:write ("path\t", path, "\n") end
		for _, query in ipairs (queries) do file:write ("query\t", query, "\n") end
		file:write ("out\t", ARDOUR.LuaAPI.build_filename (Session:path (), "soundlasso"), "\n")
		file:write (string.format ("start_s\t%.9f\n", region:start ():samples () / rate))
		file:write (string.format ("length_s\t%.9f\n", region:length ():samples () / rate))
		file:close ()
		return request
	end

	local function start_program (request)
		if ARDOUR.LuaAPI.build_filename ("a", "b"):find ("\\", 1, true) then
			os.execute (string.format ('start "" /B %s daw run "%s"', COMMAND, request))
		else -- Ardour's own libraries are not for other programs, and a folder may be called $HOME
			local quoted = "'" .. request:gsub ("'", "'\\''") .. "'"
			os.execute ("env -u LD_LIBRARY_PATH " .. COMMAND .. " daw run " .. quoted .. " >/dev/null 2>&1 &")
		end
	end

	local function take_line (job, line)
		local kind, first, second = line:match ("^(%a+)\t?([^\t]*)\t?([^\t]*)$")
		if kind == "progress" then job.progress = tonumber (first) or job.progress end
		if kind == "stem" then job.files[#job.files + 1] = second end
		if kind == "rest" then job.files[#job.files + 1] = first end
		if kind == "failed" then job.failed = first end
		if kind == "done" then job.done = true end
	end

	-- Returns whether there was something new.
	local function read_report (job)
		local file = io.open (job.request .. ".report", "rb")
		if not file then return false end
		local number = 0
		for line in file:lines ("L") do
			number = number + 1
			if number > job.lines and line:sub (-1) == "\n" then
				job.lines = number
				take_line (job, (line:gsub ("[\r\n]+$", "")))
			end
		end
		file:close ()
		return number > 0
	end

	local function wait_for_stems (request, name)
		local job = { request = request, files = {}, lines = 0, progress = 0 }
		local window = LuaDialog.ProgressWindow (TITLE, true)
		local silent_s, lines = 0, 0
		start_program (request)
		while not (job.done or job.failed or window:canceled ()) do
			local limit_s = read_report (job) and SILENCE_LIMIT_S or START_LIMIT_S
			silent_s = job.lines > lines and 0 or silent_s + POLL_US / 1e6
			lines = job.lines
			if silent_s > limit_s then job.failed = "nothing was heard of " .. COMMAND end
			window:progress (job.progress, name)
			ARDOUR.LuaAPI.usleep (POLL_US)
		end
		window:done ()
		window = nil
		collectgarbage ()
		os.remove (request) -- which also cancels a render that still runs
		os.remove (request .. ".report")
		return job
	end

	local function import (job, position)
		local files = C.StringVector ()
		for _, path in ipairs (job.files) do files:push_back (path) end
		Editor:do_import (files, Editing.ImportDistinctFiles, Editing.ImportAsTrack, ARDOUR.SrcQuality.SrcBest,
			ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore,
			position, ARDOUR.PluginInfo (), ARDOUR.Track (), false)
	end

	local function mute (region)
		Session:begin_reversible_command ("soundlasso: mute region")
		region:to_stateful ():clear_changes ()
		region:set_muted (true)
		Session:add_stateful_diff_command (region:to_statefuldestructible ())
		if not Session:abort_empty_reversible_command () then
			Session:commit_reversible_command (nil)
		end
	end

	local regions = {}
	for region in Editor:get_selection ().regions:regionlist ():iter () do
		if not region:to_audioregion ():isnil () then regions[#regions + 1] = region end
	end
	if #regions == 0 then return complain ("Select one audio region or more first.") end
	local answer = ask ()
	local queries = answer and split (answer["sounds"]) or {}
	if #queries == 0 then return end
	for number, region in ipairs (regions) do
		local request, reason = write_request (region, queries, number)
		if not request then return complain ("Cannot write beside the session: " .. reason) end
		local job = wait_for_stems (request, region:name ())
		if job.failed then return complain (region:name () .. "\n\n" .. job.failed) end
		if not job.done then return end -- cancelled
		import (job, region:position ())
		if answer["mute"] then mute (region) end
	end
end end

function icon (params) return function (ctx, width, height, fg)
	ctx:set_source_rgba (ARDOUR.LuaAPI.color_to_rgba (fg))
	ctx:set_line_width (1.5)
	ctx:arc (width * .5, height * .4, height * .3, 0, 2 * math.pi)
	ctx:stroke ()
	ctx:move_to (width * .5, height * .7)
	ctx:line_to (width * .5, height)
	ctx:stroke ()
end end
