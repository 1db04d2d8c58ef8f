// In the page's head: the theme that the reader chose is there before anything is painted.
try {
  const kept = localStorage.getItem("bakeoff-theme");
  if (kept) document.documentElement.dataset.theme = kept;
} catch { /* a page from a file may keep nothing */ }
