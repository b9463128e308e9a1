// The page's loudspeaker: the sounds of all broadcasts, mixed, each with a volume and a mute of its
// own. A browser may forbid sound until the person has touched the page; `blocked` says so.

export class Mixer {
  // `post` speaks to the worker, `change` is called when something is to be shown anew.
  constructor(post, change) {
    Object.assign(this, { post, change });
    this.voices = new Map();
    this.context = null;
    this.muted = false;
  }

  get supported() {
    return 'AudioContext' in globalThis && 'AudioWorkletNode' in globalThis;
  }

  get blocked() {
    // Without a loudspeaker of its own the page has video elements, for which the same holds.
    if (!this.supported) return !this.touched;
    return this.context !== null && this.context.state !== 'running';
  }

  // One loudspeaker for all, made with the first sound.
  async open() {
    this.context = new AudioContext({ latencyHint: 'interactive', sampleRate: 48000 });
    this.context.onstatechange = () => this.tell();
    this.ready = this.context.audioWorklet.addModule('/speaker.js');
    setInterval(() => this.tell(), 1000);
    await this.ready;
  }

  async add(index) {
    if (this.voices.has(index)) return;
    const voice = { muted: false, volume: 1 };
    this.voices.set(index, voice);
    if (!this.supported) return;
    if (this.context === null) this.open();
    await this.ready;
    if (this.voices.get(index) !== voice) return;
    voice.node = new AudioWorkletNode(this.context, 'speaker', { numberOfInputs: 0, outputChannelCount: [2] });
    voice.gain = this.context.createGain();
    voice.node.connect(voice.gain).connect(this.context.destination);
    // Samples go from the worker to the speaker without a stop here.
    const { port1, port2 } = new MessageChannel();
    voice.node.port.postMessage(port1, [port1]);
    this.post({ type: 'voice', index, port: port2 }, [port2]);
    this.tell();
  }

  remove(index) {
    const voice = this.voices.get(index);
    this.voices.delete(index);
    voice?.node?.port.postMessage('close');
    voice?.node?.disconnect();
    voice?.gain?.disconnect();
  }

  set(index, change) {
    const voice = this.voices.get(index);
    if (!voice) return;
    Object.assign(voice, change);
    this.tell();
  }

  mute(on) {
    this.muted = on;
    this.tell();
  }

  // Only within what the browser takes for a gesture.
  async resume() {
    this.touched = true;
    await this.context?.resume();
    this.tell();
  }

  heard(index) {
    const voice = this.voices.get(index);
    return voice !== undefined && !voice.muted && voice.volume > 0 && !this.muted;
  }

  tell() {
    const { context } = this;
    if (context === null) {
      this.change();
      return;
    }
    const outputMs = ((context.outputLatency || 0) + (context.baseLatency || 0)) * 1000;
    for (const [index, voice] of this.voices) {
      const running = context.state === 'running';
      const audible = running && this.heard(index);
      voice.gain?.gain.setTargetAtTime(this.heard(index) ? voice.volume ** 2 : 0, context.currentTime, 0.015);
      this.post({ type: 'sound', index, running, audible, outputMs });
    }
    this.change();
  }
}
