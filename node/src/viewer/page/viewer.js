// The page: puts worker, mixer, tiles, people and words together. Nothing from outside this origin
// is loaded, and nothing that a stranger wrote is ever taken for markup.

import { Arrangement } from './arrangement.js';
import { listen } from './keys.js';
import { Mixer } from './mixer.js';
import { showPeople } from './people.js';
import { readStamp } from './stamp.js';
import { theme } from './theme.js';
import { Tile } from './tile.js';
import { endsWords, stageSentence } from './words.js';

const $ = (id) => document.getElementById(id);
const tiles = new Map();
let link = { up: false, refused: null, tries: 0, lostAt: performance.now() };
let state = null;

const worker = new Worker('/worker.js', { type: 'module' });
const post = (message, transfer = []) => worker.postMessage(message, transfer);
const mixer = new Mixer(post, () => showSound());
const arrangement = new Arrangement($('tiles'), tiles);

const hear = {
  link({ lostForMs, ...news }) {
    link = { ...news, lostAt: performance.now() - lostForMs };
    show();
  },
  state(message) {
    state = message.state;
    arrange();
    show();
  },
  figures(message) {
    for (const { index, ...figures } of message.tiles) tiles.get(index)?.take(figures);
    if (state !== null) showTiles();
  },
  picture({ index, frame }) {
    const tile = tiles.get(index);
    if (tile) tile.draw(frame);
    frame.close();
  },
};
worker.onmessage = ({ data }) => hear[data.type](data);

// One tile a broadcast, in the order of their numbers.
function arrange() {
  const there = new Set(state.broadcasts.map((broadcast) => broadcast.index));
  for (const [index, tile] of tiles) {
    if (there.has(index)) continue;
    mixer.remove(index);
    tile.close();
    tiles.delete(index);
  }
  for (const broadcast of state.broadcasts) {
    if (!tiles.has(broadcast.index)) {
      tiles.set(broadcast.index, new Tile(broadcast, $('tile'), $('tiles'), { post, mixer, arrangement }));
    }
    tiles.get(broadcast.index).broadcast = broadcast;
    if (broadcast.sound) mixer.add(broadcast.index);
  }
  arrangement.lay();
}

// Text is only set where it changes: a screen reader hears news once.
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show() {
  showSentence();
  const status = link.up ? 'connected' : link.refused ? 'no key' : 'no answer';
  set($('link'), status);
  $('link').className = link.up ? 'up' : 'down';
  if (state === null) return;
  const title = state.room?.title || 'Roommate';
  set($('title'), title);
  set($('room'), state.room ? `room ${state.room.short}` : '');
  document.title = title === 'Roommate' ? title : `${title} · Roommate`;
  showPeople(state, $('people'), $('count'));
  const notice = state.notice === $('sentence').textContent ? '' : state.notice ?? '';
  set($('notice'), [notice, endsWords(state.room)].filter((word) => word !== '').join(' '));
  showTiles();
}

function showSentence() {
  const sentence = stageSentence(link, state);
  set($('sentence'), sentence);
  $('tiles').hidden = sentence !== '';
  showSound();
}

function showTiles() {
  for (const tile of tiles.values()) tile.show(state);
}

function showSound() {
  const any = mixer.voices.size > 0;
  $('turn-on').hidden = !(any && mixer.blocked && !mixer.muted && $('sentence').textContent === '');
  const off = mixer.muted || mixer.blocked;
  $('all-sound').disabled = !any;
  $('all-sound').ariaPressed = String(any && !off);
  $('all-sound').querySelector('use').setAttribute('href', `#i-${any && !off ? 'sound' : 'muted'}`);
  for (const tile of tiles.values()) tile.showSound();
}

function toggleSound() {
  if (mixer.blocked) {
    mixer.mute(false);
    mixer.resume();
  } else {
    mixer.mute(!mixer.muted);
  }
}

function toggle(name, button) {
  const on = document.body.classList.toggle(name);
  button.ariaPressed = String(on);
  arrangement.lay();
}

const acts = {
  sound: toggleSound,
  details: () => toggle('figures', $('details')),
  people: () => {
    const hidden = document.body.classList.toggle('alone');
    $('people-button').ariaPressed = String(!hidden);
  },
  theme: () => theme.next(),
  help: () => ($('help').open ? $('help').close() : $('help').showModal()),
  large: (number) => arrangement.toggle([...tiles.keys()][number - 1]),
  all: () => arrangement.toggle(null),
  full: () => arrangement.full($('stage')),
  mute: () => tiles.get(arrangement.large ?? tiles.keys().next().value)?.toggleMute(),
};
$('all-sound').onclick = acts.sound;
$('turn-on').onclick = acts.sound;
$('details').onclick = acts.details;
$('people-button').onclick = acts.people;
$('theme').onclick = acts.theme;
$('help-button').onclick = acts.help;
listen(acts);

const tellHidden = () => post({ type: 'hidden', on: document.hidden });
document.addEventListener('visibilitychange', tellHidden);

// What says how long something lasts, goes on when nothing comes.
setInterval(() => {
  showSentence();
  if (state !== null) showTiles();
}, 500);

// For tests: what this page shows, as it shows it.
window.__roommate = {
  get connected() { return link.up; },
  get state() { return state; },
  get members() { return [...$('people').children].map((item) => ({ peer: item.dataset.peer, name: item.querySelector('.name').textContent })); },
  get sentence() { return $('sentence').textContent; },
  get broadcasts() { return [...tiles.values()].map((tile) => tile.hook()); },
  get audio() { return { context: mixer.context, voices: mixer.voices }; },
  // The stamp read back from the first broadcast's canvas.
  get stamp() { return tiles.size > 0 ? readStamp(tiles.values().next().value.canvas) : null; },
  get latencyMs() { return tiles.values().next().value?.figures.latencyMs ?? null; },
};

// The launch token stands behind `#`; it leaves the address bar, where people copy from.
const token = location.hash.slice(1);
if (token) history.replaceState(null, '', location.pathname);
show();
tellHidden();
post({ type: 'start', token, codecs: 'VideoDecoder' in globalThis });
