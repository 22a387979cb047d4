// Whatever scrolls says so: a faded edge where it goes on, and a line above it on what is out of view.
(() => {
  "use strict";

  // How many of the elements end beyond an edge: before `from` or after `to`, as far as they are shown.
  function beyond(elements, near, far, from, to) {
    const boxes = elements.map((element) => element.getBoundingClientRect()).filter((box) => box.width && box.height);
    return [boxes.filter((box) => box[near] < from - 2).length, boxes.filter((box) => box[far] > to + 2).length];
  }

  function told(what, counts) {
    const parts = counts.filter(([count]) => count).map(([count, arrow]) => `${count} ${arrow}`);
    return parts.length ? [`${what}: ${parts.join(", ")}`] : [];
  }

  function hidden(box, table) {
    const { left, top } = box.getBoundingClientRect();
    const [first, ...heads] = table.tHead.rows[0].cells;
    const sticky = first.getBoundingClientRect();
    const [before, after] = beyond(heads, "left", "right", sticky.right, left + box.clientLeft + box.clientWidth);
    const rows = [...table.tBodies[0].rows];
    const [above, below] = beyond(rows, "top", "bottom", sticky.bottom, top + box.clientTop + box.clientHeight);
    return [...told("columns", [[before, "←"], [after, "→"]]), ...told("rows", [[above, "↑"], [below, "↓"]])];
  }

  // Puts the box into a frame: the line, and then the box with its edges.
  function framed(box) {
    const [frame, edges] = ["frame", "edges"].map((className) => Object.assign(document.createElement("div"), { className }));
    const cue = Object.assign(document.createElement("p"), { className: "cue", hidden: true });
    box.replaceWith(frame);
    edges.append(box);
    frame.append(cue, edges);
    const table = box.querySelector(":scope > table");

    function look() {
      const [across, down] = [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight];
      edges.classList.toggle("more-left", box.scrollLeft > 2);
      edges.classList.toggle("more-right", box.scrollLeft < across - 2);
      edges.classList.toggle("more-below", box.scrollTop < down - 2);
      edges.style.setProperty("--bar-right", `${box.offsetWidth - box.clientWidth - box.clientLeft}px`);
      edges.style.setProperty("--bar-below", `${box.offsetHeight - box.clientHeight - box.clientTop}px`);
      cue.hidden = across <= 2 && down <= 2;
      if (cue.hidden) return;
      const ways = [...(across > 2 ? ["↔"] : []), ...(down > 2 ? ["↕"] : [])];
      const parts = table?.tHead ? hidden(box, table) : [];
      cue.textContent = parts.length ? `More ${parts.join("; ")}` : `Scroll for more ${ways.join(" ")}`;
    }

    const observer = new ResizeObserver(look);
    for (const element of [box, ...box.children]) observer.observe(element);
    box.addEventListener("scroll", look, { passive: true });
  }

  for (const box of document.querySelectorAll(".scroll, .plot")) framed(box);
})();
