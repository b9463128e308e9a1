// Where the tiles stand: all in a grid that wastes least of the stage, or one large and the others
// beside it; and the full screen.

const GAP = 10;

export class Arrangement {
  constructor(root, tiles) {
    Object.assign(this, { root, tiles });
    this.large = null;
    new ResizeObserver(() => this.lay()).observe(root.parentElement);
  }

  // One large, or, by null or by the same again, none.
  toggle(index) {
    this.large = index === undefined || index === this.large ? null : index;
    this.lay();
  }

  lay() {
    if (!this.tiles.has(this.large) || this.tiles.size < 2) this.large = null;
    this.root.classList.toggle('focus', this.large !== null);
    this.root.dataset.count = this.tiles.size;
    for (const [index, tile] of this.tiles) {
      tile.root.classList.toggle('chosen', index === this.large);
      tile.showSound();
    }
    const { clientWidth: width, clientHeight: height } = this.root.parentElement;
    const best = grid(this.tiles.size, width, height, this.shape());
    this.root.style.setProperty('--columns', best.columns);
    this.root.style.setProperty('--width', `${Math.floor(best.width)}px`);
    this.root.style.setProperty('--height', `${Math.floor(best.height)}px`);
  }

  // A single picture's own, else that of a screen.
  shape() {
    const only = this.tiles.size === 1 ? this.tiles.values().next().value.broadcast : null;
    return only && only.width > 0 && only.height > 0 ? only.width / only.height : 16 / 9;
  }

  full(element) {
    if (document.fullscreenElement) document.exitFullscreen();
    else element.requestFullscreen?.().catch(() => {});
  }
}

// The number of columns that makes tiles of a shape largest.
function grid(count, width, height, shape) {
  let best = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(count, 1); columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (width - GAP * (columns - 1)) / columns;
    const down = (height - GAP * (rows - 1)) / Math.max(rows, 1);
    const wide = Math.min(across, down * shape);
    if (wide > best.width) best = { columns, width: wide, height: wide / shape };
  }
  return best;
}
