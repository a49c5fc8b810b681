// Names in camelCase, as JavaScript has them, and in snake_case, as the documents of the addon have them.

/** `guessesPerCode` as `guesses_per_code`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `guesses_per_code` as `guessesPerCode`. */
export function camelCase(name: string): string {
  return name.includes('_') ? name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()) : name;
}

/** `quotas.guesses_per_code` as `quotas.guessesPerCode`. URIs in a place stay as they are. */
export function camelPlace(place: string): string {
  return place.startsWith('grant_types.') ? place.replace('grant_types', 'grantTypes') : camelCase(place);
}

/** Names in backticks in camelCase: "unknown field `key`, expected `key_id`". */
export function camelReason(reason: string): string {
  return reason.replace(/`[a-z0-9_]+`/g, (quoted) => camelCase(quoted));
}
