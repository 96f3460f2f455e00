import { hash } from '../../keys/digest.ts'
import { printable } from '../registry/errors.ts'
import type { PinRule } from '../trust/pins.ts'
import { keptAuthorities, placeOf } from '../trust/server-ca.ts'

/** A pin for people, on one line. */
export function pinText({ pattern, pin, server, serverCa }: PinRule): string {
  const where = server === undefined ? '' : `  ${server}${serverCaText({ pattern, serverCa })}`
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
export function pinDocument({ pattern, pin, server, serverCa }: PinRule): object {
  return {
    pattern: pattern.text,
    ...whom(pin),
    ...(server === undefined ? {} : { server }),
    ...(serverCa === undefined ? {} : { serverCa: certificatesIn({ pattern, serverCa }) }),
  }
}

function serverCaText({
  pattern,
  serverCa,
}: Pick<PinRule, 'pattern'> & { readonly serverCa: string | undefined }): string {
  if (serverCa === undefined) return ''
  const names = certificatesIn({ pattern, serverCa }).map(({ subject, sha256, notAfter }) =>
    `${subject} sha256:${sha256} until ${notAfter.slice(0, 10)}`.trim(),
  )
  return `, by ${names.join(' or ')}`
}

/** Whoever made a certificate wrote its subject: no line of it is to look like one of ours. */
function certificatesIn({ pattern, serverCa }: Pick<PinRule, 'pattern'> & { readonly serverCa: string }): readonly {
  readonly subject: string
  readonly sha256: string
  readonly notAfter: string
}[] {
  const { certificates } = keptAuthorities(serverCa, placeOf(pattern))
  return certificates.map(({ subject, sha256, notAfter }) => ({
    subject: printable(subject),
    sha256,
    notAfter: new Date(notAfter).toISOString(),
  }))
}

function whom(pin: PinRule['pin']): object {
  if (pin.kind === 'root') return { root: { sha256: hash('sha256', pin.bytes) } }
  if (pin.kind === 'ca') return { ca: { sha256: hash('sha256', pin.bytes) } }
  if (pin.kind === 'keys') return { keys: pin.keyids, threshold: pin.threshold }
  return { tofu: true }
}
