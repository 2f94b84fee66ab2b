-- A stand-in for REAPER: the documented functions that the script uses, on a small model of a project.
-- Arguments: script, audio file, its length in seconds, folder of the project, sounds, user's patience.
local script, path, whole_s, project, sounds, patience = table.unpack(arg)
local looks, undo_depth = 0, 0

local function thing(kind, values) return { kind = kind, values = values } end
local source = { path = path }
local take = thing("MediaItem_Take*", { D_STARTOFFS = 0.5, D_PLAYRATE = 2.0, D_PITCH = 0, B_PPITCH = 1,
                                       D_VOL = 0.7, D_PAN = 0.1 })
take.source = source
local item = thing("MediaItem*", { D_POSITION = 3.25, D_LENGTH = 0.4, D_VOL = 0.9, D_FADEINLEN = 0.01,
  D_FADEOUTLEN = 0.02, C_FADEINSHAPE = 1, C_FADEOUTSHAPE = 2, B_LOOPSRC = 1, B_MUTE = 0 })
item.take = take
local tracks = { thing("MediaTrack*", { I_FOLDERDEPTH = 1 }), thing("MediaTrack*", { I_FOLDERDEPTH = -1 }),
                 thing("MediaTrack*", { I_FOLDERDEPTH = 0 }) }
item.track = tracks[2]
item.track.items = { item }

local function get(of, name) return assert(of.values[name], name) end
local function set(of, name, value) of.values[name] = value return true end
local function number(track)
  for i, other in ipairs(tracks) do if other == track then return i end end
end

local api = {
  MB = function(text) print("MB", (text:gsub("\n", " "))) return 1 end,
  GetUserInputs = function(_, count) assert(count == 1) return true, sounds end,
  CountSelectedMediaItems = function() return 1 end,
  GetSelectedMediaItem = function() return item end,
  GetActiveTake = function(of) return of.take end,
  TakeIsMIDI = function() return false end,
  GetTakeNumStretchMarkers = function() return 0 end,
  GetMediaItemTake_Source = function(of) return of.source end,
  GetMediaSourceFileName = function(of) return of.path end,
  GetMediaSourceType = function() return "WAVE" end,
  GetMediaSourceLength = function() return tonumber(whole_s), false end,
  GetMediaItemInfo_Value = get, GetMediaItemTakeInfo_Value = get,
  SetMediaItemInfo_Value = set, SetMediaItemTakeInfo_Value = set, SetMediaTrackInfo_Value = set,
  GetMediaTrackInfo_Value = function(of, name)
    if name == "IP_TRACKNUMBER" then return number(of) + 0.0 end
    return get(of, name)
  end,
  GetMediaItem_Track = function(of) return of.track end,
  GetProjectPath = function() return project end,
  RecursiveCreateDirectory = function(folder) return os.execute('mkdir -p "' .. folder .. '"') and 1 end,
  genGuid = function() return "{0A1B}" end,
  time_precise = os.clock,
  ExecProcess = function(command, timeout_ms)
    assert(timeout_ms == -1)  -- not waited for
    local background = command:find("soundlasso daw", 1, true) and " >/dev/null 2>&1 &" or ""
    return os.execute(command .. background) and "0\n" or nil
  end,
  ValidatePtr = function(of, kind) return of.kind == kind end,
  Undo_BeginBlock = function() undo_depth = undo_depth + 1 end,
  Undo_EndBlock = function() undo_depth = undo_depth - 1 end,
  PreventUIRefresh = function() end, UpdateArrange = function() end, Main_OnCommand = function() end,
  InsertTrackAtIndex = function(index)
    table.insert(tracks, index + 1, thing("MediaTrack*", { I_FOLDERDEPTH = 0 }))
  end,
  GetTrack = function(_, index) return tracks[index + 1] end,
  AddMediaItemToTrack = function(track)
    local made = thing("MediaItem*", { B_MUTE = 0 })
    track.items = { made }
    return made
  end,
  AddTakeToMediaItem = function(of) of.take = thing("MediaItem_Take*", {}) return of.take end,
  PCM_Source_CreateFromFile = function(file) return { path = file } end,
  SetMediaItemTake_Source = function(of, new) of.source = new return true end,
  GetSetMediaTrackInfo_String = function(of, name, text) of.values[name] = text return true end,
  GetSetMediaItemTakeInfo_String = function(of, name, text) of.values[name] = text return true end,
  defer = function(step) later = step end,
}
reaper = setmetatable({}, { __index = function(_, name)
  print("USES", name)
  return assert(api[name], "no " .. name)
end })
gfx = { init = function() end, quit = function() end, set = function() end, drawstr = function() end,
        rect = function() end, update = function() end,
        getchar = function() looks = looks + 1 return looks > tonumber(patience) and -1 or 0 end }

dofile(script)
while later do
  local step = later
  later = nil
  os.execute("sleep 0.05")
  step()
end

assert(undo_depth == 0)
print("ORIGINAL", item.values.B_MUTE)
for i, track in ipairs(tracks) do
  local made = track.items and track.items[1]
  local values = made and made.take.values or {}
  print("TRACK", i, track.values.I_FOLDERDEPTH, track.values.P_NAME or "", made and made.take.source.path or "",
        made and made.values.D_POSITION, made and made.values.D_LENGTH, values.D_PLAYRATE, values.D_STARTOFFS)
end
