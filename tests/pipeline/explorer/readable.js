// What does not fit people: returned as texts, none where all is well.
() => {
  const shown = (one) => one.checkVisibility() && !one.closest("script, style, title");
  const numbers = (text) => text.match(/[\d.]+/g).map(Number);
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  function ground(one) {
    for (; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  }
  const bad = [];
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) bad.push(`${width} pixels wide, the window ${innerWidth}`);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) { // contrast of at least 4.5, as WCAG AA asks for
    const one = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
    if (!text || !shown(one)) continue;
    const both = [light(numbers(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    if ((both[0] + 0.05) / (both[1] + 0.05) < 4.5) bad.push(`contrast: ${text.slice(0, 60)}`);
  }
  const named = (one) => one.ariaLabel || one.alt || one.labels?.length || one.textContent.trim() || one.querySelector("img[alt]");
  const used = "a, button, input:not([type=hidden]), select, img, canvas, [role=button]";
  for (const one of document.querySelectorAll(used)) { // what a screen reader has to call something
    if (shown(one) && !named(one)) bad.push(`no name: ${one.outerHTML.slice(0, 80)}`);
  }
  return bad;
}
