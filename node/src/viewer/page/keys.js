// What a key does. Nothing while somebody types, or holds a key of the browser's own.

const KEYS = { s: 'sound', d: 'details', p: 'people', t: 'theme', f: 'full', m: 'mute', 0: 'all', '?': 'help' };

export function listen(acts) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches?.('input:not([type=range]), textarea')) return;
    if (document.querySelector('dialog[open]') && event.key !== '?') return;
    if (/^[1-9]$/.test(event.key)) acts.large(Number(event.key));
    else if (event.key === 'Escape') acts.all();
    else if (KEYS[event.key]) acts[KEYS[event.key]]();
    else return;
    event.preventDefault();
  });
}
