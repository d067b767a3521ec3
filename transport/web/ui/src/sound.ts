// One discreet tone, made here: nothing is fetched. Browsers let it sound only after the person has pressed
// something on the page, which switching it on is.
let audio: AudioContext | undefined;

/** Two soft notes, a quarter of a second in all. */
export async function chime(): Promise<void> {
  try {
    audio ??= new AudioContext();
    await audio.resume();
    const at = audio.currentTime;
    for (const [i, hertz] of [660, 880].entries()) {
      const note = audio.createOscillator();
      const gain = audio.createGain();
      const from = at + i * 0.11;
      note.frequency.value = hertz;
      gain.gain.setValueAtTime(0, from);
      gain.gain.linearRampToValueAtTime(0.06, from + 0.015);
      gain.gain.exponentialRampToValueAtTime(0.0001, from + 0.14);
      note.connect(gain).connect(audio.destination);
      note.start(from);
      note.stop(from + 0.15);
    }
  } catch {
    // A browser without sound, or one that refuses it, stays silent.
  }
}
