import type { Http } from '../../client/http.ts'
import { HttpError } from '../../client/http-errors.ts'
import { memoryCache } from '../../client/trust/memory-cache.ts'
import { openRepository } from '../../client/trust/repository.ts'
import { openVerdicts } from '../../client/verdict/engine.ts'
import type { VerdictOptions, Verdicts } from '../../client/verdict/engine.ts'
import type { Policy, SignedRule } from '../../client/verdict/rule.ts'
import { NOW, Simulator } from './simulator.ts'

export const NAME = 'registry.example.com/team/app'

/** A verdict engine over one simulated repository, with clocks and a network that a test turns. */
export type VerdictLab = {
  readonly simulator: Simulator
  readonly verdicts: Verdicts
  /** What both clocks say; a test moves either. */
  readonly time: { wall: number; monotonic: number }
  /** How many requests arrived. */
  readonly requests: () => number
  /** While true, the trust server cannot be reached. */
  down: boolean
  /** While it is there, the trust server says nothing. */
  silence: Promise<void> | undefined
  readonly pass: (milliseconds: number) => void
  readonly failures: unknown[]
  readonly rule: (more?: Partial<SignedRule>) => SignedRule
}

export function openVerdictLab(
  options: {
    readonly simulator?: Simulator
    readonly background?: boolean
    readonly rule?: Partial<SignedRule>
    readonly answered?: VerdictOptions['answered']
  } = {},
): VerdictLab & { readonly close: () => void } {
  const simulator = options.simulator ?? new Simulator()
  const time = { wall: NOW as number, monotonic: 1000 }
  const failures: unknown[] = []
  const end = new AbortController()
  const rule = (more: Partial<SignedRule> = {}): SignedRule => ({
    kind: 'signed',
    pattern: NAME,
    where: 'test',
    pin: { kind: 'root', bytes: simulator.anchor() },
    sharedPin: false,
    server: 'https://trust.example.com',
    serverCa: undefined,
    tokenFile: undefined,
    roles: undefined,
    require: [],
    threshold: 1,
    maxAge: 60_000,
    signedOnce: false,
    ...options.rule,
    ...more,
  })
  const caches = new Map<string, ReturnType<typeof memoryCache>>()
  const first = rule()
  const verdicts = openVerdicts({
    policy: { ruleFor: () => first },
    open: async (repository, { pin }, clock) => {
      const cache = caches.get(repository) ?? memoryCache()
      caches.set(repository, cache)
      const http = httpOf(simulator, lab)
      const metadataUrl = 'http://127.0.0.1/'
      return openRepository({ metadataUrl, repository, pin, cache, http, clock })
    },
    background: options.background ?? false,
    clock: () => time.wall,
    monotonic: () => time.monotonic,
    signal: end.signal,
    failed: (_repository, error) => failures.push(error),
    answered: options.answered,
  })
  const lab: VerdictLab & { readonly close: () => void } = {
    simulator,
    verdicts,
    time,
    requests: () => simulator.requests.length,
    down: false,
    silence: undefined,
    pass(milliseconds: number) {
      time.wall += milliseconds
      time.monotonic += milliseconds
    },
    failures,
    rule,
    close() {
      verdicts.close()
      end.abort()
    },
  }
  return lab
}

export function policyOf(rule: SignedRule): Policy {
  return { ruleFor: () => rule }
}

/** The simulator as a network: whoever asks gets its files, or cannot reach it. */
function httpOf(simulator: Simulator, lab: Pick<VerdictLab, 'down' | 'silence'>): Http {
  return {
    async send({ url }) {
      await lab.silence
      if (lab.down) throw new HttpError('NETWORK', { url: url.href, reason: 'ECONNREFUSED' })
      const file = await simulator.get(decodeURI(url.pathname.slice(1)), Number.MAX_SAFE_INTEGER)
      return {
        status: file === undefined ? 404 : 200,
        header: () => undefined,
        headerValues: () => [],
        body: (async function* () {
          if (file !== undefined) yield file
        })(),
        discard: () => {},
      }
    },
    close: () => {},
  }
}
