ardour {
	["type"]    = "EditorAction",
	name        = "soundlasso: Set Live Query",
	license     = "MIT",
	author      = "The soundlasso developers",
	description = [[Asks for a sound, in words, and tells the running "soundlasso serve" by OSC to put it into a
live slot.]]
}

function factory () return function ()
	local answer = LuaDialog.Dialog ("soundlasso", {
		{ type = "entry", key = "query", default = "", title = "Sound" },
		{ type = "number", key = "slot", title = "Slot", min = 1, max = 64, step = 1, digits = 0, default = 1 },
		{ type = "number", key = "gain", title = "Gain (dB)", min = -60, max = 12, step = 1, digits = 1, default = 0 },
		{ type = "checkbox", key = "remove", default = false, title = "Remove it, keep the rest" },
	}):run ()
	if not answer then return end
	local server = ARDOUR.LuaOSC.Address ("osc.udp://127.0.0.1:@PORT@")
	local slot = math.floor (answer["slot"])
	server:send ("/lasso/slot/query", "is", slot, answer["query"])
	server:send ("/lasso/slot/gain", "if", slot, answer["gain"])
	server:send ("/lasso/slot/mode", "is", slot, answer["remove"] and "remove" or "keep")
end end
