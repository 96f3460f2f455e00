import type { CommandModule } from './declare.ts'

/** A command before anything of it is loaded: a process runs one command and pays for one. */
export type Entry = { readonly summary: string; readonly load: () => Promise<CommandModule> }
export type Group = {
  readonly summary: string
  readonly example: string
  readonly commands: Readonly<Record<string, Entry>>
}

/** Every command of the program, in the order of its help. */
export const COMMANDS: Readonly<Record<string, Entry | Group>> = {
  init: {
    summary: 'create the trust of a repository and print the pin its consumers need',
    load: async () => (await import('./init.ts')).initCommand,
  },
  sign: {
    summary: 'bind image tags to digests and publish that',
    load: async () => (await import('./sign.ts')).signCommand,
  },
  verify: {
    summary: 'print the digest that is signed for each image, or refuse',
    load: async () => (await import('./verify.ts')).verifyCommand,
  },
  pull: {
    summary: 'verify an image, have an engine pull it by digest, and tag it',
    load: async () => (await import('./pull.ts')).pullCommand,
  },
  revoke: {
    summary: 'take tags out of every role that the keys here can sign',
    load: async () => (await import('./revoke.ts')).revokeCommand,
  },
  approve: {
    summary: 'see what waits for the signatures of several people, and sign it',
    load: async () => (await import('./approve.ts')).approveCommand,
  },
  list: {
    summary: 'print the signed tags of a repository',
    load: async () => (await import('./list.ts')).listCommand,
  },
  history: {
    summary: 'print what a tag meant, when, and by which key',
    load: async () => (await import('./history.ts')).historyCommand,
  },
  status: {
    summary: 'print versions, keys, thresholds and expiries of a repository',
    load: async () => (await import('./status.ts')).statusCommand,
  },
  drill: {
    summary: 'play each theft of a key against a scratch copy, and print what its thief achieves',
    load: async () => (await import('./drill.ts')).drillCommand,
  },
  trust: {
    summary: 'whom this machine trusts for which repositories',
    example: 'tagseal trust list',
    commands: {
      add: {
        summary: 'pin the repositories that match a pattern',
        load: async () => (await import('./trust-add.ts')).trustAddCommand,
      },
      list: {
        summary: 'print the pins of this machine',
        load: async () => (await import('./trust-list.ts')).trustListCommand,
      },
      remove: {
        summary: 'take a pin out again',
        load: async () => (await import('./trust-remove.ts')).trustRemoveCommand,
      },
    },
  },
  key: {
    summary: 'custody of the private keys on this machine',
    example: 'tagseal key generate --name "release pipeline"',
    commands: {
      generate: {
        summary: 'make a key',
        load: async () => (await import('./key-generate.ts')).keyGenerateCommand,
      },
      list: {
        summary: 'print the keys of this machine',
        load: async () => (await import('./key-list.ts')).keyListCommand,
      },
      import: {
        summary: 'take in a private key that another program made',
        load: async () => (await import('./key-import.ts')).keyImportCommand,
      },
      export: {
        summary: 'write out a public key, or a private one',
        load: async () => (await import('./key-export.ts')).keyExportCommand,
      },
      passwd: {
        summary: 'put a key under another passphrase',
        load: async () => (await import('./key-passwd.ts')).keyPasswdCommand,
      },
      remove: {
        summary: 'delete a private key from this machine',
        load: async () => (await import('./key-remove.ts')).keyRemoveCommand,
      },
    },
  },
  delegation: {
    summary: 'who else may sign which tags',
    example: 'tagseal delegation list registry.example.com/team/app',
    commands: {
      add: {
        summary: 'let a role sign the tags that match some paths, or change such a role',
        load: async () => (await import('./delegation-add.ts')).delegationAddCommand,
      },
      remove: {
        summary: 'take a delegated role away',
        load: async () => (await import('./delegation-remove.ts')).delegationRemoveCommand,
      },
      list: {
        summary: 'print the delegated roles of a repository',
        load: async () => (await import('./delegation-list.ts')).delegationListCommand,
      },
    },
  },
  rotate: {
    summary: 'replace the keys of a role',
    load: async () => (await import('./rotate.ts')).rotateCommand,
  },
  root: {
    summary: 'change who the keys are, with holders in different places',
    example: 'tagseal root review app.root-2.json',
    commands: {
      propose: {
        summary: 'write a file that proposes the next root of a repository, or its first',
        load: async () => (await import('./root-propose.ts')).rootProposeCommand,
      },
      review: {
        summary: 'print what a proposal would change, and who signed it',
        load: async () => (await import('./root-review.ts')).rootReviewCommand,
      },
      sign: {
        summary: 'sign a proposal with the keys here, after a look at it',
        load: async () => (await import('./root-sign.ts')).rootSignCommand,
      },
      status: {
        summary: 'print whose signatures a proposal has, and whose are missing',
        load: async () => (await import('./root-status.ts')).rootStatusCommand,
      },
      publish: {
        summary: 'publish a proposal that enough holders signed',
        load: async () => (await import('./root-publish.ts')).rootPublishCommand,
      },
    },
  },
  policy: {
    summary: 'which images this machine admits',
    example: 'tagseal policy test registry.example.com/team/app:1.4',
    commands: {
      test: {
        summary: 'check a policy file, and say what it decides of images and why',
        load: async () => (await import('./policy.ts')).policyTestCommand,
      },
    },
  },
  import: {
    summary: 'take over what another program kept',
    example: 'tagseal import notary --from https://notary.docker.io docker.io/team/app --pin ID',
    commands: {
      notary: {
        summary: 'move repositories here from a Notary v1 server',
        load: async () => (await import('./import-notary.ts')).importNotaryCommand,
      },
    },
  },
  export: {
    summary: 'hand over what other programs use',
    example: 'tagseal export notary-keys --out ~/.docker/trust/private/',
    commands: {
      'notary-keys': {
        summary: 'write private keys as notary and docker keep them',
        load: async () => (await import('./export-notary-keys.ts')).exportNotaryKeysCommand,
      },
    },
  },
  gateway: {
    summary: 'serve registries through a gateway that lets only admitted images pass',
    load: async () => (await import('./gateway.ts')).gatewayCommand,
  },
  admission: {
    summary: 'have a Kubernetes cluster run only images that are admitted, by their digests',
    load: async () => (await import('./admission.ts')).admissionCommand,
  },
  pin: {
    summary: 'lock the images that Dockerfiles, compose files and manifests name to what is signed',
    load: async () => (await import('./pin.ts')).pinCommand,
  },
  doctor: {
    summary: 'prove that nothing gets into this machine past the signatures, or say what does',
    load: async () => (await import('./doctor.ts')).doctorCommand,
  },
  verifier: {
    summary: 'answer containerd, which asks before it pulls an image',
    load: async () => (await import('./verifier.ts')).verifierCommand,
  },
}
