// The replay: the player is fetched when somebody presses Play, so that the review itself is there at once.
const replay = document.getElementById("replay");

if (replay) {
  const place = document.getElementById("screen");
  const trouble = document.getElementById("replay-trouble");
  const speed = document.getElementById("speed");
  const idle = document.getElementById("skip-idle");
  let player = null;
  let loaded = null;

  function load() {
    loaded ??= new Promise((done, failed) => {
      document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: replay.dataset.style }));
      document.head.append(Object.assign(document.createElement("script"), { src: replay.dataset.player, onload: done, onerror: failed }));
    });
    return loaded;
  }

  async function play(startAt = 0, autoPlay = true) {
    trouble.hidden = true;
    try {
      await load();
    } catch {
      loaded = null;
      trouble.textContent = "The player could not be fetched. Check your connection and press Play again.";
      trouble.hidden = false;
      return;
    }
    player?.dispose();
    place.hidden = false;
    player = AsciinemaPlayer.create({ url: replay.dataset.cast, fetchOpts: { credentials: "same-origin" } }, place, {
      autoPlay, startAt, speed: Number(speed.value), idleTimeLimit: idle.checked ? 2 : undefined, fit: "both", preload: true, controls: true, theme: "asciinema",
    });
    player.addEventListener("error", () => {
      trouble.textContent = "The recording could not be fetched. Load the page again.";
      trouble.hidden = false;
    });
    document.getElementById("play").hidden = true;
  }

  // The player takes its speed at its beginning: it is made anew where it was.
  async function again() {
    if (!player) return;
    const [at, length] = await Promise.all([player.getCurrentTime(), player.getDuration()]);
    play(Math.min(at ?? 0, length ?? 0), true);
  }

  document.getElementById("play").addEventListener("click", () => play());
  speed.addEventListener("change", again);
  idle.addEventListener("change", () => player && play(0));
}
