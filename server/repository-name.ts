import { Problem } from './problem.ts'

const HOST = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?`
const SEGMENT = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?'
const NAME = new RegExp(`^${HOST}(?:/${SEGMENT})*$`)

/**
 * The name of an image repository: `registry.example.com:5000/team/app`. Letters, digits, `.`, `_`, `-` in segments
 * that begin and end with a letter or digit, so that no name climbs out of a path or reads as an option.
 */
export function repositoryName(text: string): string {
  if (text.length > 255 || !NAME.test(text)) throw new Problem('INVALID_REPOSITORY', { repository: text.slice(0, 300) })
  return text
}
