// Instants are times of the clock, which goes on while the page is reloaded.

export const after = (seconds) => Date.now() + seconds * 1000;
export const secondsUntil = (instant) => Math.max(0, Math.ceil((instant - Date.now()) / 1000));
