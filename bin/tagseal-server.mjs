#!/usr/bin/env node
import { launch } from './launch.mjs'

launch('tagseal-server', 'server/main.ts')
