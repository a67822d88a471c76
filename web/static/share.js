// An open page of a share hears when its link ends: it says so, and what was read is taken off the screen.
const path = document.body.dataset.events;
const stream = new EventSource(path);

function end() {
  stream.close();
  document.getElementById("main").remove();
  document.getElementById("ended").hidden = false;
  document.title = "This link has ended";
}

stream.addEventListener("ended", end);
// A stream that is refused for good is a link that ended while the connection was away.
stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) end(); });
