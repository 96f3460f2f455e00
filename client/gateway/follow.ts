/** What a gateway runs by, read again when it changes or somebody says so: policy, certificate, users. */
import { failureOf } from '../exit.ts'
import { watchFiles } from '../policy/watch.ts'
import type { Watch } from '../policy/watch.ts'

export type Followed = 'policy' | 'certificate' | 'users'
type Read = { readonly files: readonly string[] }

export type FollowOptions = {
  /** When the program that read them began. */
  readonly since: number
  readonly log: (entry: Readonly<Record<string, unknown>>) => void
  readonly good: (what: Followed, good: boolean) => void
}

export type Follow = Watch & {
  /** `adopted` says what of it is worth a word. */
  readonly add: <R extends Read>(what: Followed, first: R, options: FollowedFiles<R>) => void
}

export type FollowedFiles<R extends Read> = {
  readonly load: () => Promise<R>
  readonly also?: readonly string[]
  readonly adopted: (next: R) => object | undefined
}

export function openFollow({ since, log, good }: FollowOptions): Follow {
  const watches: Watch[] = []
  return {
    add(what, first, { load, also = [], adopted }) {
      const watch = watchFiles(first, {
        load,
        also,
        since,
        adopted(next) {
          const more = adopted(next)
          good(what, true)
          log({ event: what, outcome: 'adopted', path: next.files[0], ...more })
        },
        broken(error) {
          good(what, false)
          const { code, message } = failureOf(error)
          log({ event: what, outcome: 'broken', reason: code, message, consequence: 'the old one stays in force' })
        },
      })
      watches.push(watch)
    },
    again: () => watches.forEach((watch) => watch.again()),
    close: () => watches.forEach((watch) => watch.close()),
  }
}
