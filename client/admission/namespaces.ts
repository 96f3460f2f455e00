/** One verdict engine for each namespace that the policy speaks of, and one for all others. */
import type { FilePolicy } from '../policy/policy.ts'
import type { Verdicts } from '../verdict/engine.ts'
import { openJudge } from './judge.ts'
import type { Judge } from './judge.ts'

export type Namespaces = {
  readonly judgeOf: (namespace: string | undefined) => Promise<Judge>
  /** From the next question on. */
  readonly adopt: (policy: FilePolicy) => void
  readonly policy: () => FilePolicy
}

type Opened = { readonly verdicts: Verdicts; readonly judge: Judge }

/**
 * Two namespaces may have two rules for one repository. In one engine each question would end what the other one keeps
 * warm, so there are as many as the policy has names for: never as many as there are namespaces.
 */
export function openNamespaces(first: FilePolicy, open: (policy: FilePolicy) => Promise<Verdicts>): Namespaces {
  let policy = first
  const opened = new Map<string | undefined, Promise<Opened>>()

  function within(namespace: string | undefined): FilePolicy {
    return namespace === undefined ? policy : policy.inNamespace(namespace)
  }

  async function openOne(namespace: string | undefined): Promise<Opened> {
    const counted = within(namespace)
    const verdicts = await open(counted)
    return { verdicts, judge: openJudge(verdicts) }
  }

  return {
    async judgeOf(asked) {
      const namespace = asked !== undefined && policy.namespaces.has(asked) ? asked : undefined
      const known = opened.get(namespace) ?? openOne(namespace)
      opened.set(namespace, known)
      known.catch(() => opened.delete(namespace))
      return (await known).judge
    },
    adopt(next) {
      policy = next
      for (const [namespace, one] of opened) {
        const isNamed = namespace === undefined || next.namespaces.has(namespace)
        if (!isNamed) opened.delete(namespace)
        one.then(
          ({ verdicts }) => (isNamed ? verdicts.adopt(within(namespace)) : verdicts.close()),
          () => undefined, // whoever asked was told
        )
      }
    },
    policy: () => policy,
  }
}
