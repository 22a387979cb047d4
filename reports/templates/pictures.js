// The pictures' viewer: two versions of a picture under a slider, zoomed and moved together, or their difference.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const viewer = byId("viewer");
  const stage = byId("viewer-stage");
  const under = byId("viewer-under");
  const over = byId("viewer-over");
  const split = byId("viewer-split");
  const canvas = byId("viewer-difference");
  const fold = byId("viewer-fold");
  const section = viewer.closest("section");
  const selects = { shot: byId("viewer-shot"), left: byId("viewer-left"), right: byId("viewer-right") };
  const MOST_ZOOM = 32;
  const view = { zoom: 1, x: 0, y: 0, fitted: true }; // CSS pixels a picture's pixel, and the point in the middle

  function pictureOf(figure) {
    const textOf = (tag) => figure.querySelector(`figcaption ${tag}`)?.textContent ?? "";
    const [width, height] = (figure.dataset.size ?? "0 0").split(" ").map(Number);
    return { label: textOf("b"), note: textOf("span"), pixels: figure.dataset.pixels, width, height };
  }

  const shots = [...section.querySelectorAll(".shot")]
    .map((block) => ({
      block,
      name: block.querySelector("h3").textContent,
      pictures: [...block.querySelectorAll(".pictures figure")].map(pictureOf),
    }))
    .filter((shot) => shot.pictures.some((picture) => picture.pixels));
  if (!shots.length) return;

  const shot = () => shots[selects.shot.selectedIndex];
  const chosen = (side) => shot().pictures[selects[side].selectedIndex];

  // Choosing.

  function fill(select, entries) {
    select.replaceChildren(
      ...entries.map(([text, enabled]) => {
        const option = document.createElement("option");
        option.textContent = enabled ? text : `${text}: no picture`;
        option.disabled = !enabled;
        return option;
      }),
    );
  }

  function startingPair(pictures) {
    const there = [...pictures.keys()].filter((place) => pictures[place].pixels);
    const variant = there.find((place) => place > 1 && place < pictures.length - 1);
    return { left: there[0], right: variant ?? there[1] ?? there[0] };
  }

  function showShot() {
    const { pictures } = shot();
    const start = startingPair(pictures);
    for (const side of ["left", "right"]) {
      const before = selects[side].selectedIndex;
      fill(selects[side], pictures.map((picture) => [picture.label, Boolean(picture.pixels)]));
      selects[side].selectedIndex = pictures[before]?.pixels ? before : start[side];
    }
    for (const one of shots) one.block.classList.toggle("chosen", one === shot());
    stage.style.setProperty("--ratio", chosen("left").width / chosen("left").height);
    fit();
    showSides();
  }

  function showSides() {
    for (const [side, svg] of [["left", over], ["right", under]]) {
      const { label, note, pixels } = chosen(side);
      byId(`viewer-${side}-note`).textContent = note;
      svg.setAttribute("aria-label", `${side}: ${label}`);
      svg.firstElementChild.setAttribute("href", `#${pixels}`);
    }
    showDifference();
  }

  // Zooming and moving: both pictures are drawn through the same window.

  const fitZoom = () => Math.min(stage.clientWidth / chosen("left").width, stage.clientHeight / chosen("left").height);

  function inside(middle, visible, length) {
    return visible >= length ? length / 2 : Math.min(Math.max(middle, visible / 2), length - visible / 2);
  }

  function draw() {
    const { width, height } = chosen("left");
    const [across, down] = [stage.clientWidth / view.zoom, stage.clientHeight / view.zoom];
    view.x = inside(view.x, across, width);
    view.y = inside(view.y, down, height);
    const [left, top] = [view.x - across / 2, view.y - down / 2];
    for (const svg of [under, over]) svg.setAttribute("viewBox", `${left} ${top} ${across} ${down}`);
    canvas.style.left = `${-left * view.zoom}px`;
    canvas.style.top = `${-top * view.zoom}px`;
    canvas.style.width = `${width * view.zoom}px`;
    canvas.style.height = `${height * view.zoom}px`;
    stage.classList.toggle("large", view.zoom > 1);
    stage.classList.toggle("zoomed", across < width - 0.5 || down < height - 0.5);
    byId("viewer-zoom").textContent = `${Math.round(100 * view.zoom)}%`;
  }

  function fit() {
    Object.assign(view, { zoom: fitZoom(), fitted: true });
    draw();
  }

  // To a zoom; the point that lies so far from the stage's middle (in CSS pixels) stays where it is.
  function zoomTo(zoom, fromMiddleX = 0, fromMiddleY = 0) {
    const next = Math.min(Math.max(zoom, Math.min(fitZoom(), 1)), MOST_ZOOM);
    view.x += fromMiddleX / view.zoom - fromMiddleX / next;
    view.y += fromMiddleY / view.zoom - fromMiddleY / next;
    Object.assign(view, { zoom: next, fitted: false });
    draw();
  }

  function move(byX, byY) {
    view.x += byX / view.zoom;
    view.y += byY / view.zoom;
    draw();
  }

  const ZOOMS = { in: () => zoomTo(view.zoom * 1.5), out: () => zoomTo(view.zoom / 1.5), one: () => zoomTo(1), fit };
  const step = () => stage.clientWidth / 8;
  const KEYS = {
    "+": ZOOMS.in, "=": ZOOMS.in, "-": ZOOMS.out, 1: ZOOMS.one, 0: fit,
    ArrowLeft: () => move(-step(), 0), ArrowRight: () => move(step(), 0),
    ArrowUp: () => move(0, -step()), ArrowDown: () => move(0, step()),
  };

  function onKey(event) {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === split && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    act();
  }

  function onWheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    zoomTo(view.zoom * Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 250), x, y);
  }

  function onDrag(event) {
    if (stage.hasPointerCapture(event.pointerId)) move(-event.movementX, -event.movementY);
  }

  function onPress(event) {
    if (event.target !== split && event.button === 0) stage.setPointerCapture(event.pointerId);
  }

  function showSplit() {
    stage.style.setProperty("--split", `${split.value}%`);
    split.setAttribute("aria-valuetext", `${Math.round(split.value)}% left`);
  }

  function showCrop(button) {
    selects.shot.selectedIndex = shots.findIndex((one) => one.block.contains(button));
    showShot();
    const [x, y, width, height] = button.dataset.crop.split(" ").map(Number);
    Object.assign(view, { x: x + width / 2, y: y + height / 2 });
    zoomTo(Math.min(stage.clientWidth / width, stage.clientHeight / height));
    stage.scrollIntoView({ block: "center" });
    stage.focus({ preventScroll: true });
  }

  // The difference: |left - right| times a factor, each colour by itself.

  async function pixelsOf({ pixels, width, height }) {
    const image = new Image();
    image.src = byId(pixels).getAttribute("href");
    await image.decode();
    const sheet = Object.assign(document.createElement("canvas"), { width, height });
    const pen = sheet.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, width, height);
  }

  function differ(left, right, factor) {
    const drawn = new ImageData(left.width, left.height);
    let [sum, most] = [0, 0];
    for (let place = 0; place < left.data.length; place++) {
      if (place % 4 === 3) {
        drawn.data[place] = 255;
        continue;
      }
      const apart = Math.abs(left.data[place] - right.data[place]);
      drawn.data[place] = factor * apart;
      sum += apart;
      most = Math.max(most, apart);
    }
    return { drawn, mean: sum / (left.data.length * 0.75), most };
  }

  let asked = 0;
  async function showDifference() {
    const wanted = byId("viewer-differ").checked;
    const [left, right, factor] = [chosen("left"), chosen("right"), Number(byId("viewer-factor").value)];
    const comparable = left.width === right.width && left.height === right.height;
    const now = ++asked;
    const both = wanted && comparable ? await Promise.all([pixelsOf(left), pixelsOf(right)]) : null;
    if (now !== asked) return; // something else was chosen meanwhile
    byId("viewer-legend").hidden = !wanted;
    byId("viewer-help").hidden = wanted;
    canvas.hidden = byId("viewer-scale").hidden = !both;
    split.hidden = Boolean(both);
    if (wanted && !both) tell("These two are not of the same size: there is no difference to show.");
    if (!both) return;
    const { drawn, mean, most } = differ(...both, factor);
    Object.assign(canvas, { width: left.width, height: left.height });
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(drawn, 0, 0);
    canvas.setAttribute("aria-label", `difference between ${left.label} and ${right.label}`);
    const white = Math.ceil(255 / factor);
    byId("viewer-white").textContent = `${white} grey levels${factor > 1 ? " or more" : ""}`;
    tell(`|left − right| × ${factor}, each colour by itself. Black: equal; white: ${white} of 255 grey levels apart` +
      `${factor > 1 ? " or more" : ""}. Here: ${mean.toFixed(2)} on average, at most ${most}.`);
  }

  function tell(text) {
    byId("viewer-legend").textContent = text;
  }

  function setFolded(folded) {
    section.classList.toggle("folded", folded);
    fold.setAttribute("aria-expanded", String(!folded));
    fold.textContent = folded ? "Show all pictures below" : "Show only this picture’s crops below";
  }

  function showSelected(name) {
    const place = shot().pictures.findIndex((picture) => picture.label === name && picture.pixels);
    if (place < 0) return;
    selects.right.selectedIndex = place;
    showSides();
  }

  fill(selects.shot, shots.map(({ name }) => [name, true]));
  viewer.hidden = false;
  setFolded(true);
  showShot();
  showSplit();
  selects.shot.addEventListener("change", showShot);
  for (const side of ["left", "right"]) selects[side].addEventListener("change", showSides);
  for (const id of ["viewer-differ", "viewer-factor"]) byId(id).addEventListener("change", showDifference);
  split.addEventListener("input", showSplit);
  fold.addEventListener("click", () => setFolded(!section.classList.contains("folded")));
  for (const button of viewer.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => ZOOMS[button.dataset.zoom]());
  }
  for (const button of section.querySelectorAll("[data-crop]")) {
    button.hidden = false;
    button.addEventListener("click", () => showCrop(button));
  }
  stage.addEventListener("keydown", onKey);
  stage.addEventListener("wheel", onWheel, { passive: false });
  stage.addEventListener("pointerdown", onPress);
  stage.addEventListener("pointermove", onDrag);
  new ResizeObserver(() => {
    if (stage.clientWidth) view.fitted ? fit() : draw(); // in print it has no size
  }).observe(stage);
  document.addEventListener("lightsharp:select", (event) => showSelected(event.detail.name));
})();
