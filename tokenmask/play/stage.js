// Painting on what the stage shows: cells are switched on by dragging, off by dragging from one that is on.
{
  const about = JSON.parse(document.getElementById("surface").textContent), on = new Set();
  const layer = document.querySelector(".paint"), words = [...document.querySelectorAll(".word")];
  const note = document.querySelector(".painted"), clear = document.querySelector(".clear");
  const { rows, columns } = about;

  const tell = () => parent.postMessage({ tokenmask: "painted", cells: [...on].sort((a, b) => a - b) }, "*");
  const show = () => {
    words.forEach((word, cell) => word.classList.toggle("on", on.has(cell)));
    if (layer) {
      layer.replaceChildren(...[...on].map((cell) => {
        const box = document.createElement("i"), column = cell % columns, row = Math.floor(cell / columns);
        box.style.cssText = `left:${100 * column / columns}%;top:${100 * row / rows}%;` +
          `width:${100 / columns}%;height:${100 / rows}%`;
        return box;
      }));
    }
    clear.disabled = !on.size;
  };
  const cellAt = (event) => {
    if (words.length) return words.indexOf(document.elementFromPoint(event.clientX, event.clientY)?.closest(".word"));
    const box = layer.getBoundingClientRect(), inside = (at, count) => Math.min(count - 1, Math.max(0, Math.floor(at * count)));
    return inside((event.clientY - box.top) / box.height, rows) * columns + inside((event.clientX - box.left) / box.width, columns);
  };
  let mode = null, last = -1;
  const paint = (cell) => {
    if (cell < 0) return;
    const from = last < 0 ? cell : last, steps = Math.max(1, Math.abs(cell % columns - from % columns),
      Math.abs(Math.floor(cell / columns) - Math.floor(from / columns)));
    for (let step = 0; step <= steps; step++) {
      const between = (a, b) => Math.round(a + (b - a) * step / steps);
      const one = between(Math.floor(from / columns), Math.floor(cell / columns)) * columns + between(from % columns, cell % columns);
      if (mode) on.add(one); else on.delete(one);
    }
    last = cell;
    show();
  };
  const surface = layer || document.querySelector(".spoken");
  surface.addEventListener("pointerdown", (event) => {
    const cell = cellAt(event);
    if (cell < 0 || event.button) return;
    event.preventDefault();
    surface.setPointerCapture(event.pointerId);
    mode = !on.has(cell);
    last = -1;
    paint(cell);
  });
  surface.addEventListener("pointermove", (event) => { if (mode !== null) paint(cellAt(event)); });
  for (const end of ["pointerup", "pointercancel"]) {
    surface.addEventListener(end, () => { if (mode !== null) { mode = null; tell(); } });
  }
  clear.addEventListener("click", () => { on.clear(); show(); tell(); });
  show();
}
