import t from 'tap'
import { findDockerClients } from '../support/docker-client.ts'
import { openDockerTown, whyNoBusybox } from '../support/docker-town.ts'
import { dockerTrustJourney } from '../support/docker-trust-journey.ts'
import { tryDockerd } from '../support/dockerd.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { whyNoRegistry } from '../support/registry.ts'

/** docker 29 verifies nothing on pull. */
const LAST_WITH_TRUST = 28
const clients = (await findDockerClients()).filter(({ major }) => major <= LAST_WITH_TRUST)
const [client] = clients
if (client === undefined) {
  t.pass('SKIPPED: no docker up to 28 is installed (apt-get install docker.io)', { skip: true })
} else {
  const daemon =
    (await whyNoRegistry()) ?? (await whyNoNotaryServer()) ?? (await whyNoBusybox()) ?? (await tryDockerd())
  const skip = typeof daemon === 'string' && daemon
  if (typeof daemon !== 'string') t.teardown(daemon.stop)
  // The oldest shows that what the journey expects is what the original does.
  const original = clients.at(-1) ?? client
  await t.test(`docker ${original.version} with trust on, on the original`, { skip }, async (t) => {
    if (typeof daemon === 'string') return
    const town = await openDockerTown(daemon, original, startNotaryServer)
    t.teardown(town.close)
    await dockerTrustJourney(t, town, original)
  })
}
