// Soundlasso: name sounds to a running "soundlasso serve", get their stems. See its help page.
Soundlasso {
	classvar <>defaultPort = @PORT@;
	var <addr, <>onFail, <>onPresence, jobs, listeners;

	*new { |host = "127.0.0.1", port|
		^super.new.init(NetAddr(host, port ? defaultPort))
	}

	init { |address|
		addr = address;
		jobs = IdentityDictionary.new;
		onFail = { |command, code, message| "soundlasso: % %: %".format(command, code, message).warn };
		listeners = [
			this.prListen('/lasso/job/progress', { |job, fraction, left|
				this.prTell(job, \onProgress, fraction, left);
			}),
			this.prListen('/lasso/job/stem', { |job, slot, query, path, start|
				this.prTell(job, \onStem, query.asString, path.asString, slot, start);
			}),
			this.prListen('/lasso/done', { |command, job, stems, seconds, nullDb|
				if(command == '/lasso/render') { this.prEnd(job, \onDone, stems, seconds, nullDb) };
			}),
			this.prListen('/lasso/fail', { |command, code, message, job|
				var isOurs = (command == '/lasso/render') and: { jobs[job].notNil };
				var action = if(isOurs) { jobs[job][\onFail] };
				if(isOurs) { jobs.removeAt(job) };
				(action ? onFail).value(command, code, message.asString);
			}),
		];
		this.notify;
	}

	// Slots

	query { |text, slot = 1| addr.sendMsg('/lasso/slot/query', slot, text) }
	gain { |db, slot = 1| addr.sendMsg('/lasso/slot/gain', slot, db) }
	mute { |isOn = true, slot = 1| addr.sendMsg('/lasso/slot/mute', slot, isOn.binaryValue) }
	solo { |isOn = true, slot = 1| addr.sendMsg('/lasso/slot/solo', slot, isOn.binaryValue) }
	enable { |isOn = true, slot = 1| addr.sendMsg('/lasso/slot/enable', slot, isOn.binaryValue) }
	keep { |slot = 1| addr.sendMsg('/lasso/slot/mode', slot, \keep) }
	remove { |slot = 1| addr.sendMsg('/lasso/slot/mode', slot, \remove) }
	forget { |slot = 1| addr.sendMsg('/lasso/slot/remove', slot) }

	// Renders

	render { |path, query, onDone, onStem, onProgress, onFail|
		var job = ("sc-" ++ UniqueID.next ++ "-" ++ Date.getDate.stamp).asSymbol;
		jobs[job] = (onDone: onDone, onStem: onStem, onProgress: onProgress, onFail: onFail);
		addr.sendMsg('/lasso/render', path, query ? "", job);
		^job
	}

	cancel { |job| addr.sendMsg('/lasso/job/cancel', job ? '*') }

	// The live stream

	start { addr.sendMsg('/lasso/stream/start') }
	stop { addr.sendMsg('/lasso/stream/stop') }
	mix { |amount| addr.sendMsg('/lasso/mix', amount) }

	// Everything else: any address, with or without the prefix

	set { |name ... args| addr.sendMsg(this.prAddress(name), *args) }

	get { |name, action|
		var address = this.prAddress(name);
		this.prListen(address, action).oneShot;
		addr.sendMsg(address);
	}

	listen { |name, action|
		var address = this.prAddress(name);
		var listener = this.prListen(address, action);
		listeners = listeners.add(listener);
		addr.sendMsg('/lasso/listen', address);
		^listener
	}

	ping { |action|
		var sent = Main.elapsedTime;
		this.prListen('/lasso/pong', { action.value(Main.elapsedTime - sent) }).oneShot;
		addr.sendMsg('/lasso/ping');
	}

	notify { |isOn = true| addr.sendMsg('/lasso/notify', isOn.binaryValue, 0, 2) }

	free {
		this.notify(false);
		listeners.do(_.free);
		listeners = [];
	}

	prListen { |address, action|
		^OSCFunc({ |message| action.value(*message[1..]) }, address, addr)
	}

	prAddress { |name|
		var text = name.asString;
		^if(text.beginsWith("/")) { text } { "/lasso/" ++ text }.asSymbol
	}

	prTell { |job, kind ... args|
		jobs[job] !? { |actions| actions[kind].value(*args) };
	}

	prEnd { |job, kind ... args|
		this.prTell(job, kind, *args);
		jobs.removeAt(job);
	}
}
