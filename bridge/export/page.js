"use strict";
const players = [...document.querySelectorAll("audio")];
const together = document.getElementById("together");
let last = null;

for (const player of players) {
  const seen = document.querySelector(`[data-for="${player.id}"]`);
  const head = seen.querySelector(".head");

  player.addEventListener("play", () => {
    if (together.checked && last && last !== player) player.currentTime = last.currentTime;
    for (const other of players) if (other !== player) other.pause();
    last = player;
  });
  player.addEventListener("timeupdate", () => {
    head.style.display = "block";
    head.style.left = `${100 * player.currentTime / (player.duration || 1)}%`;
  });
  seen.addEventListener("click", (event) => {
    const box = seen.getBoundingClientRect();
    player.currentTime = (event.clientX - box.left) / box.width * (player.duration || 0);
  });
}
