// Fetches the page every few seconds and changes what has changed: focus, scroll and selection stay where they are.
"use strict";

const EVERY = 5000;
const PATIENCE = 10000;
const REGIONS = ["heard", "content"];

let timer = 0;
let paused = false;
let changedAt = new Date();

async function update() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok && answer.status !== 404) throw new Error(`HTTP ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!paused) show(page);
    tellLoss(false);
  } catch {
    tellLoss(true);
  }
  clearTimeout(timer);
  timer = setTimeout(update, EVERY);
}

function show(page) {
  const focused = document.activeElement;
  for (const id of REGIONS) morph(document.getElementById(id), page.getElementById(id));
  document.title = page.title;
  changedAt = new Date();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

// What is put into the region is read out once, when it comes.
function tellLoss(isLost) {
  const region = document.getElementById("lost");
  if (!isLost) region.replaceChildren();
  else if (!region.firstChild) {
    const since = changedAt.toISOString().slice(11, 19);
    const banner = document.createElement("p");
    banner.className = "banner bad";
    banner.textContent = `The operator does not answer. What you see is from ${since} UTC. Does the port-forward run?`;
    region.append(banner);
  }
}

// Makes `old` what `fresh` is. Elements with an id are recognised wherever they have moved to.
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const wanted = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  const known = new Map();
  for (const child of [...old.children]) {
    if (child.id && wanted.has(child.id)) known.set(child.id, child);
    else if (child.id) child.remove();
  }
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? known.get(child.id) : isAlike(next, child) ? next : null;
    if (!same) {
      old.insertBefore(document.importNode(child, true), next);
      continue;
    }
    if (same === next) next = next.nextSibling;
    else old.insertBefore(same, next);
    if (same.nodeType === Node.ELEMENT_NODE) morph(same, child);
    else if (same.data !== child.data) same.data = child.data;
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function isAlike(node, other) {
  return node !== null && !node.id && node.nodeType === other.nodeType && node.nodeName === other.nodeName;
}

const button = document.getElementById("pause");
button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  update();
});
document.addEventListener("visibilitychange", update);
timer = setTimeout(update, EVERY);
