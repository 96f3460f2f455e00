import type { FastifyInstance, RouteOptions } from 'fastify'
import { requireAction } from './auth/authenticate.ts'
import { openFrame } from './frame.ts'
import type { Door } from './frame.ts'
import { Problem } from './problem.ts'
import type { AppDeps } from './routes/deps.ts'
import { callerOf } from './routes/caller.ts'
import { changefeedRoutes } from './routes/changefeed.ts'
import { healthRoutes } from './routes/health.ts'
import { getMetadata, metadataAhead } from './routes/metadata.ts'
import { onlineKeyRoutes } from './routes/online-key.ts'
import { postImport } from './routes/import.ts'
import { deleteRepository } from './routes/remove.ts'
import { proposalRoutes } from './routes/proposals.ts'
import { changesRoute } from './routes/changes.ts'
import { sightingsRoute } from './routes/sightings.ts'
import { repositoryRoutes } from './routes/repositories.ts'
import { tokenAuthRoutes } from './routes/token-auth.ts'
import { tokenRoutes } from './routes/tokens.ts'
import { postUpload } from './routes/upload.ts'

/** The HTTP surface over its services. Not yet listening; `app.inject` asks it without a socket. */
export function buildApp(deps: AppDeps, door: Door = {}): FastifyInstance {
  // Readers pass on what they have no answer to, and nothing is served of a database that was put back.
  const alone = door.inside !== true && deps.restored === undefined
  const app = openFrame(deps, { ...door, ahead: alone ? metadataAhead(deps) : undefined })
  recordRoutes(app)
  // Read by its route, after the caller's right to publish was looked at.
  app.addContentTypeParser('multipart/form-data', (_request, _body, done) => done(null))
  useRestored(app, deps)
  healthRoutes(app, deps)
  onlineKeyRoutes(app, deps)
  getMetadata(app, {
    ...deps,
    async requireReader(request, repository) {
      const caller = await callerOf(deps.auth, request)
      requireAction(caller, 'pull', repository)
      return caller
    },
  })
  postUpload(app, deps)
  deleteRepository(app, deps)
  postImport(app, deps)
  changefeedRoutes(app, deps)
  repositoryRoutes(app, deps)
  proposalRoutes(app, deps)
  changesRoute(app, deps)
  sightingsRoute(app, deps)
  tokenRoutes(app, deps)
  tokenAuthRoutes(app, deps)
  return app
}

const ROUTES = new WeakMap<FastifyInstance, RouteOptions[]>()

/** The routes with their schemas, in the order in which they were added: what `openapi.yaml` is made of. */
export function routesOf(app: FastifyInstance): readonly RouteOptions[] {
  return ROUTES.get(app) ?? []
}

function recordRoutes(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  ROUTES.set(app, routes)
  app.addHook('onRoute', (route) => {
    routes.push(route)
  })
}

/** Where the database is an old one, nothing that it says of any repository is what clients may have seen last. */
function useRestored(app: FastifyInstance, { restored: reason }: AppDeps): void {
  if (reason === undefined) return
  app.addHook('onRequest', async ({ routeOptions: { url = '' } }) => {
    if (/^\/(?:v2\/.*_trust|v1\/repositories)/.test(url)) throw new Problem('RESTORED', { reason })
  })
}
