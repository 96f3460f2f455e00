import { sameBytes } from '../../keys/bytes.ts'
import { randomBytes } from '../../keys/random.ts'
import { keySetOf, roleName } from '../../tuf/index.ts'
import type { AfterRoot, Suite } from '../../tuf/index.ts'
import type { Completion } from './complete.ts'

/** Trust in which files count as signed by this server that it has not signed yet. Nothing made in it is served. */
export type Draft<T extends AfterRoot> = { readonly completion: Completion; readonly trust: T }

/**
 * What goes with an upload can only be judged together with it, and a key that is elsewhere signs nothing for an upload
 * that is refused: so it is judged first with something in place of our signatures. That is random, and never leaves this
 * process. For keys that are here it is not worth its time: to sign costs less than to judge twice.
 */
export function draftOf<T extends AfterRoot>(completion: Completion, trust: T): Draft<T> {
  const placeholder = randomBytes(64)
  const online: Completion['online'] = {
    ...completion.online,
    sign: async (_repository, role, { root }) =>
      keySetOf(root, roleName(role)).keys.map(({ id, scheme }) => ({
        keyid: id,
        sig: placeholder,
        scheme,
        unknown: new Map(),
      })),
  }
  return { completion: { ...completion, online }, trust: { ...trust, suite: accepting(trust.suite, placeholder) } }
}

function accepting(suite: Suite, placeholder: Uint8Array): Suite {
  return {
    ...suite,
    open(key) {
      const verifier = suite.open(key)
      if (verifier === undefined) return undefined
      const { identity, verify } = verifier
      return { identity, verify: (payload, sig) => sameBytes(sig, placeholder) || verify(payload, sig) }
    },
  }
}
