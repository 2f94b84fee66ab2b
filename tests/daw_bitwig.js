// A stand-in for Bitwig Studio: the functions of its controller API that are in bitwig_api.json, over real OSC.
// Arguments: script, list of names, the server's port. Then lines of JavaScript on standard input are run.
const fs = require("fs");
const vm = require("vm");
const readline = require("readline");
const osc = require("osc");
const [script, names, port] = process.argv.slice(2);
const known = JSON.parse(fs.readFileSync(names, "utf8"));

// Only documented names may be used.
function strict(kind, object) {
  return new Proxy(object, {
    get(target, name) {
      if (!known[kind].includes(name)) throw new Error(`no ${kind}.${String(name)} in Bitwig's API`);
      return target[name];
    },
  });
}

const values = {};
function value(path, now, low, high) {
  const observers = [];
  const change = (to) => {
    if (to === now) return;
    now = to;
    observers.forEach((tell) => tell(now));
  };
  const observe = (tell) => { observers.push(tell); tell(now); };
  const made = {
    get: () => now,
    getRaw: () => now,
    set: (to) => change(low === undefined ? to : low + to * (high - low)),
    setRaw: (to) => change(Math.round(to * 10) / 10),  // to the setting's step
    addValueObserver: observe,
    addRawValueObserver: observe,
    addSignalObserver: (tell) => observers.push(tell),
    press: () => observers.forEach((tell) => tell()),
  };
  values[path] = made;
  return strict("value", made);
}

const settings = strict("settings", {
  getStringSetting: (label, group, length, first) => value(`${group}/${label}`, first),
  getNumberSetting: (label, group, low, high, step, unit, first) => value(
    `${group}/${label}`, label === "Port" ? Number(port) : label === "Port for answers" ? 0 : first, low, high),
  getEnumSetting: (label, group, options, first) => value(`${group}/${label}`, first),
  getBooleanSetting: (label, group, first) => value(`${group}/${label}`, first),
  getSignalSetting: (label, group, action) => value(`${group}/${label}`),
});

// One socket for both ways; its port is what the server is told.
const socket = new osc.UDPPort({ localAddress: "127.0.0.1", localPort: 0, metadata: true,
                                 remoteAddress: "127.0.0.1", remotePort: Number(port) });
const tag = (argument) => typeof argument === "string" ? "s" : Number.isInteger(argument) ? "i" : "d";
const sent = [];
const connection = strict("connection", {
  sendMessage: (address, ...args) => {
    sent.push(address);
    socket.send({ address, args: args.map((argument) => ({ type: tag(argument), value: argument })) });
  },
});
const space = strict("space", {
  registerDefaultMethod: (tell) => socket.on("message", (message) => tell(null, strict("message", {
    getAddressPattern: () => message.address,
    getArguments: () => message.args.map((argument) => argument.value),
  }))),
});
const sandbox = {
  loadAPI: (version) => { if (!(version >= 10)) throw new Error("too old for OSC"); },
  host: strict("host", {
    defineController: (vendor, name, version, id) => {
      if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error(`bad id ${id}`);
    },
    getPreferences: () => settings,
    getDocumentState: () => settings,
    getOscModule: () => strict("osc", {
      createAddressSpace: () => space,
      createUdpServer: () => {},
      connectToUdpServer: () => connection,
    }),
    createUserControls: (count) => strict("bank", { getControl: (i) => {
      if (i < 0 || i >= count) throw new Error(`no control ${i}`);
      return strict("knob", { setLabel: () => {}, value: () => value(`knob ${i + 1}`, 0, 0, 1) });
    } }),
    println: (text) => console.log("LOG", text),
    showPopupNotification: (text) => console.log("POPUP", text),
  }),
};

socket.on("ready", () => {
  vm.createContext(sandbox);
  vm.runInContext(fs.readFileSync(script, "utf8"), sandbox);
  sandbox.init();
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    console.log("RAN", JSON.stringify(eval(line)));
  }).on("close", () => { sandbox.exit(); setTimeout(() => process.exit(0), 200); });
});
socket.open();
