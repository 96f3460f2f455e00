/** The next step of whoever pulls or deploys: hints are for the one who runs tagseal, and is somebody else. */
import type { Failure } from './exit.ts'

const OWNER: ReadonlySet<string> = new Set([
  'TAG_NOT_SIGNED',
  'DIGEST_NOT_SIGNED',
  'NO_TRUST_DATA',
  'ROLE_NOT_COUNTED',
  'ROLE_REQUIRED',
  'THRESHOLD_REQUIRED',
])
const RUNNER: ReadonlySet<string> = new Set([
  'NO_RULE',
  'REFUSED_BY_RULE',
  'NOT_PINNED',
  'REGISTRY_NOT_ALLOWED',
  'NO_REGISTRY',
  'NO_BRIDGE_KEY',
])

/** `runner`: `this gateway`. What the hint says to everybody stays. */
export function nextStep({ code, exit, hint }: Pick<Failure, 'code' | 'exit' | 'hint'>, runner: string) {
  if (OWNER.has(code)) return `ask its owner to sign it, or whoever runs ${runner}`
  if (RUNNER.has(code)) return `ask whoever runs ${runner}`
  return exit === 3 ? `try again; if it stays so, ask whoever runs ${runner}` : hint
}
