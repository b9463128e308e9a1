// Who is in the room. Names are what strangers call themselves: they are set as text, never as
// markup, and marks that turn the direction of writing stay inside their own element.

const known = new Set();
let shown = '';

export function shortPeer(peer) {
  return peer.length > 8 ? `…${peer.slice(-6)}` : peer;
}

export function nameOf(entry) {
  return entry.name || shortPeer(entry.peer ?? entry.publisher ?? '');
}

function hue(peer) {
  let sum = 0;
  for (const character of peer) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

function part(tag, kind, text) {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = text;
  return element;
}

function row(member, me, live) {
  const item = document.createElement('li');
  item.dataset.peer = member.peer;
  const name = nameOf(member);
  const face = part('span', 'face', [...name.replace(/^…/, '')].slice(0, 2).join('').toUpperCase());
  face.style.setProperty('--hue', hue(member.peer));
  face.ariaHidden = 'true';
  const title = part('span', 'name', member.peer === me ? `${name} (you)` : name);
  title.title = name;
  const roles = member.roles.length > 0 ? ` · ${member.roles.join(', ')}` : '';
  const what = part('span', 'what', `${shortPeer(member.peer)}${roles}`);
  what.title = member.peer;
  item.append(face, title, part('span', 'live', live ? 'LIVE' : ''), what);
  return item;
}

// Draws the list anew if it has changed; those who were not in it before arrive visibly.
export function showPeople(state, list, count) {
  const live = new Set(state.broadcasts.map((broadcast) => broadcast.publisher));
  const rank = (member) => (live.has(member.peer) ? 0 : member.peer === state.me ? 1 : 2);
  const sorted = [...state.members].sort(
    (a, b) => rank(a) - rank(b) || nameOf(a).localeCompare(nameOf(b)) || (a.peer < b.peer ? -1 : 1),
  );
  const now = JSON.stringify([state.me, sorted, [...live]]);
  if (now === shown) return;
  shown = now;
  const first = known.size === 0;
  list.replaceChildren(...sorted.map((member) => {
    const item = row(member, state.me, live.has(member.peer));
    if (!first && !known.has(member.peer)) item.classList.add('new');
    return item;
  }));
  known.clear();
  for (const member of sorted) known.add(member.peer);
  count.textContent = sorted.length > 0 ? String(sorted.length) : '';
}
