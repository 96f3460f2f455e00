import t from 'tap'
import { openDockerTown, startTagseal, tryContentTrust } from '../support/docker-town.ts'
import { dockerTrustJourney } from '../support/docker-trust-journey.ts'
import { startNotaryServer } from '../support/notary-server.ts'

// Some hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
const found = await tryContentTrust()
if (typeof found === 'string') await t.test('docker with trust on', { skip: found }, () => undefined)
else {
  const { daemon, clients } = found
  t.teardown(daemon.stop)
  for (const client of clients) {
    await t.test(`docker ${client.version} with trust on`, async (t) => {
      const town = await openDockerTown({ daemon, client }, (certificate) =>
        startTagseal(certificate, { args: ['--open'] }),
      )
      t.teardown(town.close)
      await dockerTrustJourney(t, town, client)
    })
  }
  // One of them shows that what the journey expects is what the original does.
  const { client } = found
  await t.test(`docker ${client.version} with trust on, on the original`, async (t) => {
    const town = await openDockerTown(found, startNotaryServer)
    t.teardown(town.close)
    await dockerTrustJourney(t, town, client, true)
  })
}
