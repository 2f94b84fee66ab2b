// soundlasso: the live slots of a running "soundlasso serve" as a controller of Bitwig Studio.
// Queries, gains, mutes and solos lie in the project and go to the server by OSC; the gains are user controls,
// so that any knob can be mapped to them. What others change on the server comes back.

loadAPI(12);

host.defineController("soundlasso", "soundlasso", "1.0", "6b1f8a52-4c57-4f0a-9d0e-6a3f5c2b71e4", "soundlasso");

var SLOTS = 8;
var GAIN_LOW_DB = -60;
var GAIN_HIGH_DB = 12;
var NOTIFY_PARAMETERS = 1;

var server = null; // where messages go
var replyPort = 0;
var known = {}; // what the server has, by address, so that nothing goes round in circles
var settings = {}; // what shows a value, by address

function init() {
   connect();
   for (var slot = 1; slot <= SLOTS; slot++) {
      makeSlot(slot);
   }
   makeStream();
   send("/lasso/notify", 1, replyPort, NOTIFY_PARAMETERS);
}

// Bitwig lets connections be made in init() only; a changed port takes effect when the script starts again.
function connect() {
   var preferences = host.getPreferences();
   var address = preferences.getStringSetting("Host", "Server", 40, "127.0.0.1");
   var port = preferences.getNumberSetting("Port", "Server", 1, 65535, 1, "", @PORT@);
   var back = preferences.getNumberSetting("Port for answers", "Server", 1, 65535, 1, "", 17771);
   replyPort = Math.round(back.getRaw());
   var osc = host.getOscModule();
   var answers = osc.createAddressSpace();
   answers.registerDefaultMethod(function (source, message) {
      hear(message.getAddressPattern(), message.getArguments());
   });
   osc.createUdpServer(replyPort, answers);
   server = osc.connectToUdpServer(address.get(), Math.round(port.getRaw()), osc.createAddressSpace());
}

function makeSlot(slot) {
   var at = "/lasso/slot/" + slot + "/";
   var group = "Slot " + slot;
   var state = host.getDocumentState();
   show(at + "query", state.getStringSetting("Sound", group, 60, ""), "addValueObserver");
   show(at + "gain", state.getNumberSetting("Gain", group, GAIN_LOW_DB, GAIN_HIGH_DB, 0.1, "dB", 0),
      "addRawValueObserver");
   show(at + "mode", state.getEnumSetting("Mode", group, ["keep", "remove"], "keep"), "addValueObserver");
   show(at + "mute", state.getBooleanSetting("Mute", group, false), "addValueObserver");
   show(at + "solo", state.getBooleanSetting("Solo", group, false), "addValueObserver");
   makeKnob(slot, settings[at + "gain"]);
}

// A knob moves the setting, which moves the server.
function makeKnob(slot, gain) {
   var knob = knobs().getControl(slot - 1);
   knob.setLabel("soundlasso gain " + slot);
   knob.value().addValueObserver(function (position) {
      if (knobs.moved[slot]) {
         gain.set(position);
      }
      knobs.moved[slot] = true; // the first value is only where the knob stood
   });
}

function knobs() {
   knobs.bank = knobs.bank || host.createUserControls(SLOTS);
   return knobs.bank;
}
knobs.moved = {};

function makeStream() {
   var state = host.getDocumentState();
   state.getSignalSetting("Start", "Stream", "Start").addSignalObserver(function () {
      send("/lasso/stream/start");
   });
   state.getSignalSetting("Stop", "Stream", "Stop").addSignalObserver(function () {
      send("/lasso/stream/stop");
   });
   state.getSignalSetting("Send all to the server", "Stream", "Send").addSignalObserver(sendAll);
}

function show(address, setting, observe) {
   settings[address] = setting;
   setting[observe](function (value) {
      if (typeof value === "boolean") {
         value = value ? 1 : 0;
      }
      if (!isSame(known[address], value)) {
         known[address] = value;
         send(address, value);
      }
   });
}

// A gain comes back as a 32-bit float; a setting may round it again.
function isSame(one, other) {
   return one === other || (typeof one === "number" && Math.abs(one - other) < 0.01);
}

function sendAll() {
   send("/lasso/notify", 1, replyPort, NOTIFY_PARAMETERS);
   for (var address in known) {
      send(address, known[address]);
   }
}

function send() {
   try {
      server.sendMessage.apply(server, arguments);
   } catch (error) {
      host.println("soundlasso: " + error);
   }
}

function hear(address, values) {
   if (address === "/lasso/fail") {
      host.showPopupNotification("soundlasso: " + values[2]);
   } else if (settings[address] !== undefined) {
      take(address, values[0]);
   }
}

// Puts a value of the server into its setting, without sending it back.
function take(address, value) {
   known[address] = value;
   var name = address.substring(address.lastIndexOf("/") + 1);
   if (name === "gain") {
      settings[address].setRaw(value);
   } else if (name === "mute" || name === "solo") {
      settings[address].set(value > 0);
   } else {
      settings[address].set(value);
   }
}

function flush() {
}

function exit() {
   send("/lasso/notify", 0, replyPort);
}
