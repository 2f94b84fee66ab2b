-- soundlasso: pull sounds out of the selected items.
-- Asks which, renders each item's part of its file, and puts the stems on new tracks below, in place.
-- Stock REAPER is enough: the script starts soundlasso as a program of its own and follows its report.

local COMMAND = "@COMMAND@"
local TITLE = "soundlasso"
local START_LIMIT_S = 120  -- until the program says something; loading takes about ten seconds
local SILENCE_LIMIT_S = 600
local ITEM_VALUES = { "D_POSITION", "D_LENGTH", "D_VOL", "D_FADEINLEN", "D_FADEOUTLEN", "C_FADEINSHAPE",
                      "C_FADEOUTSHAPE", "B_LOOPSRC" }
local TAKE_VALUES = { "D_PLAYRATE", "D_PITCH", "B_PPITCH", "D_VOL", "D_PAN" }

local jobs, current = {}, nil

local function complain(text)
  reaper.MB(text, TITLE, 0)
end

-- What to render

local function ask_queries()
  local ok, text = reaper.GetUserInputs(TITLE, 1, "Sounds (comma between),extrawidth=240", "")
  local queries = {}
  for query in (ok and text or ""):gmatch("[^,]+") do
    query = query:match("^%s*(.-)%s*$")
    if query ~= "" then queries[#queries + 1] = query end
  end
  return queries
end

-- Returns the part of a file that an item plays, or nil and why that cannot be told.
local function describe(item)
  local take = reaper.GetActiveTake(item)
  if not take or reaper.TakeIsMIDI(take) then return nil, "holds no audio" end
  local source = reaper.GetMediaItemTake_Source(take)
  local path = reaper.GetMediaSourceFileName(source, "")
  if reaper.GetMediaSourceType(source, "") == "SECTION" or path == "" then
    return nil, "plays a section or is reversed; glue it first"
  end
  if reaper.GetTakeNumStretchMarkers(take) > 0 then return nil, "has stretch markers; glue it first" end
  local start_s = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local length_s = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
                   * reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local whole_s = reaper.GetMediaSourceLength(source)
  local job = { item = item, take = take, path = path, offset_s = 0 }
  if start_s < 0 or start_s + length_s > whole_s + 0.001 then
    job.offset_s = start_s  -- it loops, or begins before the file: its stems do so too
  else
    job.start_s, job.length_s = start_s, length_s
  end
  return job
end

-- The program

local function write_request(job, queries)
  local out = reaper.GetProjectPath("") .. "/soundlasso"
  reaper.RecursiveCreateDirectory(out, 0)
  job.request = out .. "/" .. reaper.genGuid(""):gsub("[{}]", "") .. ".request"
  local file, reason = io.open(job.request, "wb")
  if not file then return reason end
  file:write("path\t", job.path, "\nout\t", out, "\n")
  if job.start_s then
    file:write(("start_s\t%.9f\nlength_s\t%.9f\n"):format(job.start_s, job.length_s))
  end
  for _, query in ipairs(queries) do file:write("query\t", query, "\n") end
  file:close()
end

local function start(job)
  job.began_s, job.heard_s, job.lines = reaper.time_precise(), nil, 0
  job.progress, job.stems = 0, {}
  if not reaper.ExecProcess(COMMAND .. ' daw run "' .. job.request .. '"', -1) then
    job.failed = "cannot start " .. COMMAND
  end
end

local function take_line(job, line)
  local kind, first, second = line:match("^(%a+)\t?([^\t]*)\t?([^\t]*)$")
  if kind == "progress" then job.progress = tonumber(first) or job.progress end
  if kind == "stem" then table.insert(job.stems, { name = first, path = second }) end
  if kind == "rest" then table.insert(job.stems, { name = "rest", path = first }) end
  if kind == "failed" then job.failed = first end
  if kind == "done" then job.done = true end
end

local function read_report(job)
  local now_s, number = reaper.time_precise(), 0
  local file = io.open(job.request .. ".report", "rb")
  if file then
    for line in file:lines("L") do
      number = number + 1
      if number > job.lines and line:sub(-1) == "\n" then
        job.lines, job.heard_s = number, now_s
        take_line(job, line:gsub("[\r\n]+$", ""))
      end
    end
    file:close()
  end
  local limit_s = job.heard_s and SILENCE_LIMIT_S or START_LIMIT_S
  if not (job.done or job.failed) and now_s - (job.heard_s or job.began_s) > limit_s then
    job.failed = "nothing was heard of " .. COMMAND .. " for " .. limit_s .. " seconds"
  end
end

local function clean_up(job)
  os.remove(job.request)  -- which also cancels a render that still runs
  os.remove(job.request .. ".report")
end

-- The stems

local function copy_values(names, get, set, from, to)
  for _, name in ipairs(names) do set(to, name, get(from, name)) end
end

local function add_stem(job, stem, index)
  reaper.InsertTrackAtIndex(index, true)
  local track = reaper.GetTrack(0, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", stem.name, true)
  local item = reaper.AddMediaItemToTrack(track)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, reaper.PCM_Source_CreateFromFile(stem.path))
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", stem.name, true)
  copy_values(ITEM_VALUES, reaper.GetMediaItemInfo_Value, reaper.SetMediaItemInfo_Value, job.item, item)
  copy_values(TAKE_VALUES, reaper.GetMediaItemTakeInfo_Value, reaper.SetMediaItemTakeInfo_Value,
              job.take, take)
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", job.offset_s)
  return track
end

local function place(job)
  if not reaper.ValidatePtr(job.item, "MediaItem*") or not reaper.ValidatePtr(job.take, "MediaItem_Take*") then
    return complain("the item is gone; its stems are in\n" .. job.stems[1].path)
  end
  reaper.Undo_BeginBlock()
  reaper.PreventUIRefresh(1)
  local track = reaper.GetMediaItem_Track(job.item)
  local index = reaper.GetMediaTrackInfo_Value(track, "IP_TRACKNUMBER")  -- counts from 1: the next one
  local depth = reaper.GetMediaTrackInfo_Value(track, "I_FOLDERDEPTH")
  local last
  for i, stem in ipairs(job.stems) do last = add_stem(job, stem, math.floor(index) + i - 1) end
  if depth < 0 then  -- the last track of a folder: now the last stem is
    reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", 0)
    reaper.SetMediaTrackInfo_Value(last, "I_FOLDERDEPTH", depth)
  end
  reaper.SetMediaItemInfo_Value(job.item, "B_MUTE", 1)  -- stems and rest add up to it
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  reaper.Main_OnCommand(40047, 0)  -- Peaks: Build any missing peaks
  reaper.Undo_EndBlock("soundlasso: pull out sounds", -1)
end

-- One job after the other, with a small window that shows how far it is; closing it cancels

local function draw(job)
  gfx.set(0.9, 0.9, 0.9)
  gfx.x, gfx.y = 10, 10
  gfx.drawstr(("%s  %.0f %%, %d to go"):format(job.path:match("[^/\\]+$"), job.progress * 100, #jobs))
  gfx.rect(10, 34, 380, 14, 0)
  gfx.rect(10, 34, 380 * job.progress, 14, 1)
  gfx.update()
end

local function finish(job)
  clean_up(job)
  current = nil
  if job.failed then
    complain(job.path .. "\n\n" .. job.failed)
  else
    place(job)
  end
end

local function step()
  current = current or table.remove(jobs, 1)
  if not current then return gfx.quit() end
  if not current.began_s then start(current) end
  read_report(current)
  draw(current)
  if current.done or current.failed then finish(current) end
  if gfx.getchar() < 0 then  -- closed
    if current then clean_up(current) end
    for _, job in ipairs(jobs) do clean_up(job) end
    return
  end
  reaper.defer(step)
end

local function main()
  local count = reaper.CountSelectedMediaItems(0)
  if count == 0 then return complain("select one audio item or more first") end
  local items = {}
  for i = 0, count - 1 do
    local job, reason = describe(reaper.GetSelectedMediaItem(0, i))
    if not job then return complain("selected item " .. i + 1 .. " " .. reason) end
    items[#items + 1] = job
  end
  local queries = ask_queries()
  if #queries == 0 then return end
  for _, job in ipairs(items) do
    local reason = write_request(job, queries)
    if reason then return complain("cannot write " .. job.request .. ": " .. reason) end
    jobs[#jobs + 1] = job
  end
  gfx.init(TITLE, 400, 60)
  step()
end

main()
