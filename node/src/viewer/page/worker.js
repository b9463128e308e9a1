// Off the page's own thread: the link to the node, the decoders, the canvases. A page that is busy
// being a page holds up no picture. Tells the page what it needs to show; decides nothing about it.

import { Link } from './link.js';
import { Player } from './player.js';

// Figures for the page: as often as a person can read, and then some for what must not wait.
const TELL_MS = 250;

const rooms = new Map();
let hidden = false;

const link = new Link({
  state(state) {
    follow(state.broadcasts);
    postMessage({ type: 'state', state });
  },
  picture(unit) {
    rooms.get(unit.broadcast)?.unit(unit);
  },
  sound(packet) {
    rooms.get(packet.broadcast)?.voice.packet(packet);
  },
  change() {
    // A new connection begins with a keyframe and with numbers of its own.
    for (const player of rooms.values()) player.reset();
    tellLink();
  },
});

function tellLink() {
  const { up, refused, tries } = link;
  postMessage({ type: 'link', up, refused, tries, lostForMs: performance.now() - link.lostAt });
}

function follow(broadcasts) {
  const there = new Set(broadcasts.map((broadcast) => broadcast.index));
  for (const [index, player] of rooms) {
    if (there.has(index)) continue;
    player.close();
    rooms.delete(index);
  }
  for (const broadcast of broadcasts) {
    if (!rooms.has(broadcast.index)) rooms.set(broadcast.index, new Player(link, broadcast.index, lend));
    rooms.get(broadcast.index).announce(broadcast);
  }
}

// For a canvas that cannot leave the page: the picture goes there instead.
function lend(index, frame) {
  postMessage({ type: 'picture', index, frame }, [frame]);
}

const hear = {
  start({ token, codecs }) {
    // What the page's own thread is denied is not asked for here either.
    Player.usable = codecs;
    link.start(token);
  },
  canvas({ index, canvas }) {
    rooms.get(index)?.drawOn(canvas);
  },
  voice({ index, port }) {
    rooms.get(index)?.voice.playThrough(port);
  },
  sound({ index, running, audible, outputMs }) {
    const voice = rooms.get(index)?.voice;
    if (voice) Object.assign(voice, { running, audible, outputMs });
  },
  hidden({ on }) {
    hidden = on;
  },
};
onmessage = ({ data }) => hear[data.type]?.(data);

function tell() {
  const tiles = [...rooms].map(([index, player]) => ({ index, ...player.figures() }));
  if (tiles.length > 0) postMessage({ type: 'figures', tiles });
}

// Words that a first or a renewed picture makes untrue go with it.
function paint() {
  let news = false;
  for (const player of rooms.values()) news = player.draw(hidden) || news;
  if (news) tell();
}

const everyRefresh = (then) => {
  // Safari has no refresh for workers before 17; a timer is as good for what it shows.
  if ('requestAnimationFrame' in globalThis) requestAnimationFrame(then);
  else setTimeout(then, 16);
};
(function refresh() {
  paint();
  everyRefresh(refresh);
})();
setInterval(() => {
  if (hidden) paint();
  tell();
  if (!link.up) tellLink();
}, TELL_MS);
