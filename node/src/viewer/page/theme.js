// Dark or light: as the system has it until the person says otherwise; remembered in this browser.

const KEY = 'roommate-theme';
const root = document.documentElement;

function stored() {
  // A browser may keep nothing for anybody.
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const theme = {
  next() {
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const now = root.dataset.theme ?? (dark ? 'dark' : 'light');
    root.dataset.theme = now === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {
      // Then it holds until the page is closed.
    }
  },
};

const chosen = stored();
if (chosen === 'dark' || chosen === 'light') root.dataset.theme = chosen;
