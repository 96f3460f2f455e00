import t from 'tap'
import { parsePlatform, pickPlatform, platformOf, printPlatform } from '../../../client/registry/platform.ts'

const READ: Record<string, string | undefined> = {
  'linux/amd64': 'linux/amd64',
  'LINUX/x86_64': 'linux/amd64',
  'linux/aarch64': 'linux/arm64',
  'linux/arm64/v8': 'linux/arm64',
  'linux/arm': 'linux/arm/v7',
  'linux/arm/v6': 'linux/arm/v6',
  'windows/amd64': 'windows/amd64',
  linux: undefined,
  '': undefined,
  'linux//v7': undefined,
  'linux/arm/v7/x': undefined,
  'linux/../x': undefined,
}

await t.test('a platform has one spelling', async (t) => {
  for (const [text, printed] of Object.entries(READ)) {
    await t.test(`${text || 'nothing'} is ${printed ?? 'refused'}`, async (t) => {
      const platform = parsePlatform(text)
      t.equal(platform && printPlatform(platform), printed)
    })
  }
  t.equal(printPlatform(platformOf('linux', 'x64')), 'linux/amd64')
  t.equal(printPlatform(platformOf('win32', 'arm64')), 'windows/arm64')
})

const PICKS: Record<string, readonly [has: readonly string[], wanted: string, picked: number | undefined]> = {
  'the one that fits': [['linux/amd64', 'linux/arm64'], 'linux/arm64', 1],
  'the first of two that fit': [['linux/amd64', 'linux/amd64'], 'linux/amd64', 0],
  'no other system': [['windows/amd64'], 'linux/amd64', undefined],
  'no other architecture': [['linux/386'], 'linux/amd64', undefined],
  'arm64 for arm64/v8': [['linux/arm64'], 'linux/arm64/v8', 0],
  'the closest older variant': [['linux/arm/v5', 'linux/arm/v6'], 'linux/arm/v7', 1],
  'no newer variant': [['linux/arm/v7'], 'linux/arm/v6', undefined],
  'the baseline on a newer machine': [['linux/amd64'], 'linux/amd64/v3', 0],
  'nothing that needs a newer machine': [['linux/amd64/v3'], 'linux/amd64', undefined],
  'the exact variant before the older one': [['linux/arm/v6', 'linux/arm/v7'], 'linux/arm/v7', 1],
  'no attestation': [['unknown/unknown'], 'linux/amd64', undefined],
  'nothing out of nothing': [[], 'linux/amd64', undefined],
}

await t.test('picks', async (t) => {
  for (const [name, [has, wanted, picked]] of Object.entries(PICKS)) {
    await t.test(name, async (t) => {
      const entries = has.map((text) => {
        const [os = '', architecture = '', variant] = text.split('/')
        return { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }
      })
      const platform = parsePlatform(wanted)
      if (platform === undefined) throw new Error('no platform')
      t.equal(pickPlatform([{}, ...entries], platform), picked === undefined ? undefined : entries[picked])
    })
  }
})
