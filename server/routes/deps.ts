import type { Logger } from 'pino'
import type { WalkingRoot } from '../../tuf/index.ts'
import type { Authenticator } from '../auth/authenticate.ts'
import type { Issuer } from '../auth/issuer.ts'
import type { Settings } from '../config.ts'
import type { Metrics } from '../metrics.ts'
import type { Proposals } from '../proposals/proposals.ts'
import type { Publisher } from '../publish/publisher.ts'
import type { UploadBudget } from '../publish/upload.ts'
import type { ServedFiles } from '../serve/files.ts'
import type { Sightings } from '../serve/sightings.ts'
import type { OnlineKeys } from '../signing/online-keys.ts'
import type { Store } from '../storage/store.ts'

/** What the routes work with; made once, in `services.ts`. */
export type AppDeps = {
  readonly settings: Settings
  readonly store: Store
  readonly files: ServedFiles
  readonly publisher: Publisher
  readonly proposals: Proposals
  readonly online: OnlineKeys
  readonly auth: Authenticator
  readonly sightings: Sightings
  readonly issuer: Issuer
  readonly budget: UploadBudget
  readonly metrics: Metrics
  readonly logger: Logger
  readonly clock: () => number
  /** The newest root of a repository, and its dialect. */
  readonly rootOf: (repository: string) => Promise<WalkingRoot | undefined>
  /** Why nothing of any repository is served or taken: the database was put back from a backup. */
  readonly restored: string | undefined
  /** Why the server should get no new requests now; undefined when it should. */
  readonly notReady: () => Promise<string | undefined>
}
