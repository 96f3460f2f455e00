import { hash } from '../../keys/digest.ts'
import type { PinRule } from '../trust/pins.ts'

/** A pin for people, on one line. */
export function pinText({ pattern, pin, server }: PinRule): string {
  const where = server === undefined ? '' : `  ${server}`
  switch (pin.kind) {
    case 'root':
      return `${pattern.text}  root sha256:${hash('sha256', pin.bytes)}${where}`
    case 'ca':
      return `${pattern.text}  certificate authority sha256:${hash('sha256', pin.bytes)}${where}`
    case 'keys':
      return `${pattern.text}  ${pin.threshold} of ${pin.keyids.join(', ')}${where}`
    case 'tofu':
      return `${pattern.text}  trust on first use${where}`
    default:
      return pin satisfies never
  }
}

/** A pin as `--json` shows it. */
export function pinDocument({ pattern, pin, server }: PinRule): object {
  return { pattern: pattern.text, ...whom(pin), ...(server === undefined ? {} : { server }) }
}

function whom(pin: PinRule['pin']): object {
  if (pin.kind === 'root') return { root: { sha256: hash('sha256', pin.bytes) } }
  if (pin.kind === 'ca') return { ca: { sha256: hash('sha256', pin.bytes) } }
  if (pin.kind === 'keys') return { keys: pin.keyids, threshold: pin.threshold }
  return { tofu: true }
}
