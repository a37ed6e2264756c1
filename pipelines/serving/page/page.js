"use strict";
// Upload a video, draw a box on its first frame, see the tracked box over the playing frames. Needs nothing but itself.

const at = (id) => document.getElementById(id);
const [file, stage, video, over, tools, boxField] = ["file", "stage", "video", "over", "tools", "box"].map(at);
const [trackButton, playButton, againButton, save] = ["track", "play", "again", "save"].map(at);
const [seek, progress, said] = ["seek", "progress", "said"].map(at);
const pen = over.getContext("2d");
const LEAST = 4; // pixels of a side that is meant as a box
const COLOUR = "#f7630c"; // orange, on a white rim: seen on light and on dark pictures

let address = "";
let box = null; // [x, y, w, h] in pixels of the video
let from = null; // where a box that is being drawn began
let answers = []; // [{seconds, box, score, absent}], in order
let running = null; // the AbortController of a request
let firstShown = 0; // mediaTime of the first frame

function say(text, wrong = false) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

function step(name) {
  for (const each of ["file", "box", "track"]) at(`step-${each}`).classList.toggle("now", each === name);
}

function show(mode) { // "draw", "wait" or "watch"
  stage.classList.toggle("followed", mode !== "draw");
  trackButton.hidden = mode === "watch";
  playButton.hidden = mode !== "watch";
  againButton.hidden = mode === "draw";
  againButton.textContent = mode === "wait" ? "Stop" : "New box";
  seek.hidden = save.hidden = mode !== "watch";
  progress.hidden = mode !== "wait";
  boxField.disabled = mode !== "draw";
  boxField.parentElement.hidden = mode === "watch";
  trackButton.disabled = mode !== "draw" || box === null;
}

function fit() {
  if (!video.videoWidth) return;
  const tallest = Math.max(200, innerHeight * 0.7);
  const wide = Math.min(stage.parentElement.clientWidth, tallest * video.videoWidth / video.videoHeight);
  stage.style.width = `${wide}px`;
  stage.style.height = `${wide * video.videoHeight / video.videoWidth}px`;
  over.width = Math.round(wide * devicePixelRatio);
  over.height = Math.round(over.width * video.videoHeight / video.videoWidth);
  draw();
}

function rectangle([x, y, w, h], dashed) {
  const scale = over.width / video.videoWidth;
  pen.setLineDash(dashed ? [6 * devicePixelRatio, 5 * devicePixelRatio] : []);
  for (const [style, width] of [["#fff", 4], [COLOUR, 2]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width * devicePixelRatio;
    pen.strokeRect(x * scale, y * scale, w * scale, h * scale);
  }
}

function label(text, [x, y]) {
  const scale = over.width / video.videoWidth, size = 14 * devicePixelRatio;
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const wide = pen.measureText(text).width + size * 0.6, high = size * 1.4;
  const left = Math.min(Math.max(0, x * scale), over.width - wide);
  const top = y * scale >= high ? y * scale - high : y * scale;
  pen.fillStyle = COLOUR;
  pen.fillRect(left, top, wide, high);
  pen.fillStyle = "#000";
  pen.fillText(text, left + size * 0.3, top + size * 1.05);
}

function draw(mediaTime = video.currentTime) {
  pen.clearRect(0, 0, over.width, over.height);
  if (!answers.length) {
    if (box) rectangle(box, false);
    return;
  }
  const shown = answerAt(mediaTime - firstShown);
  rectangle(shown.box, shown.absent);
  label(shown.absent ? "absent" : shown.score.toFixed(2), shown.box);
}

function answerAt(seconds) { // the last one that is not later
  let low = 0, high = answers.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (answers[middle].seconds <= seconds + 0.002) low = middle; else high = middle - 1;
  }
  return answers[low];
}

function point(event) {
  const rect = over.getBoundingClientRect();
  const inside = (value, most) => Math.min(Math.max(0, value), most);
  return [inside((event.clientX - rect.left) / rect.width, 1) * video.videoWidth,
    inside((event.clientY - rect.top) / rect.height, 1) * video.videoHeight];
}

over.addEventListener("pointerdown", (event) => {
  if (answers.length || running) return;
  over.setPointerCapture(event.pointerId);
  from = point(event);
});
over.addEventListener("pointermove", (event) => {
  if (!from) return;
  const [x, y] = point(event);
  setBox([Math.min(x, from[0]), Math.min(y, from[1]), Math.abs(x - from[0]), Math.abs(y - from[1])]);
});
for (const end of ["pointerup", "pointercancel"]) over.addEventListener(end, () => { from = null; });

function setBox(drawn, typed = false) {
  box = drawn && drawn[2] >= LEAST && drawn[3] >= LEAST ? drawn : null;
  if (!typed) boxField.value = drawn ? drawn.map((value) => Math.round(value)).join(",") : "";
  trackButton.disabled = box === null;
  step(box ? "track" : "box");
  draw();
}

boxField.addEventListener("input", () => {
  const words = boxField.value.split(",").map((word) => word.trim());
  const numbers = words.map(Number);
  setBox(words.length === 4 && words.every(Boolean) && numbers.every(Number.isFinite) ? numbers : null, true);
});

file.addEventListener("change", () => {
  if (running) running.abort();
  URL.revokeObjectURL(address);
  stage.hidden = tools.hidden = true;
  seek.hidden = progress.hidden = true;
  answers = [];
  box = null;
  step("file");
  const [chosen] = file.files;
  if (!chosen) return;
  const most = Number(document.body.dataset.mostBytes);
  if (chosen.size > most) {
    say(`This video has ${Math.ceil(chosen.size / 2 ** 20)} MiB; this server takes ${most / 2 ** 20} MiB.`, true);
    return;
  }
  say("Opening …");
  address = URL.createObjectURL(chosen);
  video.src = address;
});

video.addEventListener("error", () => {
  if (file.files.length) say("This browser cannot show this video, so no box can be drawn on it. The server may know " +
    "it all the same: ask it by curl, or convert the video to MP4.", true);
});

video.addEventListener("loadeddata", () => {
  const most = Number(document.body.dataset.mostSeconds);
  if (video.duration > most) {
    say(`This video has ${Math.round(video.duration)} seconds; this server takes ${most}.`, true);
    return;
  }
  stage.hidden = tools.hidden = false;
  show("draw");
  setBox(null);
  fit();
  say("Draw a box around what is to be followed, with mouse or finger, or type it.");
});

trackButton.addEventListener("click", async () => {
  running = new AbortController();
  const asked = running;
  const token = at("token")?.value ?? "";
  answers = [];
  progress.removeAttribute("value");
  show("wait");
  say("Sending …");
  const found = [];
  try {
    const response = await fetch(`track?lines=true&box=${box.join(",")}`, {
      method: "POST",
      body: file.files[0],
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      signal: asked.signal,
    });
    if (!response.ok) throw new Error((await response.json()).error);
    for await (const line of linesOf(response.body)) {
      if (line.error) throw new Error(line.error);
      if (line.width && line.width !== video.videoWidth) {
        throw new Error(`the server sees ${line.width}x${line.height} where this browser shows ` +
          `${video.videoWidth}x${video.videoHeight}: the file holds several films`);
      }
      if (line.box) found.push(line);
      progress.value = Math.min(1, found.at(-1).seconds / video.duration);
      say(`Following … ${found.length} frames`);
    }
    firstShown = await firstFrame();
    watch(found);
  } catch (error) {
    if (asked !== running) return; // another video was chosen
    const stopped = asked.signal.aborted;
    show("draw");
    draw();
    say(stopped ? "Stopped." : `Not followed: ${error.message}`, !stopped);
  } finally {
    if (asked === running) running = null;
  }
});

async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function firstFrame() { // when the first frame is shown: a film may begin later than its sound
  video.pause();
  video.currentTime = 0;
  return new Promise((found) => {
    video.requestVideoFrameCallback?.((_, frame) => found(frame.mediaTime));
    setTimeout(found, 500, 0);
  });
}

function watch(found) {
  answers = found;
  const mean = found.reduce((sum, one) => sum + one.score, 0) / found.length;
  say(`${found.length} frames followed, mean score ${mean.toFixed(2)}.`);
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([found.map((one) => `${one.box.join(",")}\n`).join("")]));
  seek.max = video.duration;
  show("watch");
  step("");
  video.loop = true;
  video.play();
  follow();
}

function follow() { // each shown frame gets its own box; where a browser does not tell frames, each repaint does
  if (!answers.length) return;
  if (video.requestVideoFrameCallback) {
    video.requestVideoFrameCallback((_, frame) => { draw(frame.mediaTime); moved(); follow(); });
  } else {
    requestAnimationFrame(() => { draw(); moved(); follow(); });
  }
}

function moved() {
  if (document.activeElement !== seek || !video.paused) seek.value = video.currentTime;
}

seek.addEventListener("input", () => {
  video.pause();
  video.currentTime = Number(seek.value);
});
playButton.addEventListener("click", () => { if (video.paused) video.play(); else video.pause(); });
for (const change of ["play", "pause"]) {
  video.addEventListener(change, () => { playButton.textContent = video.paused ? "Play" : "Pause"; });
}
againButton.addEventListener("click", () => {
  if (running) {
    running.abort();
    return;
  }
  answers = [];
  video.pause();
  video.currentTime = 0;
  show("draw");
  setBox(null);
  say("Draw a box around what is to be followed.");
});
addEventListener("resize", fit);
step("file");
