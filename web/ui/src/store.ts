// What a browser remembers: settings, history, favourites.

import { useEffect, useState } from 'preact/hooks'

const prefix = 'varve.'

function load<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(prefix + name)
    return text === null ? otherwise : (JSON.parse(text) as T)
  } catch {
    return otherwise // storage may be forbidden or hold something else
  }
}

const listeners = new Map<string, Set<() => void>>()

function save<T>(name: string, value: T) {
  try {
    localStorage.setItem(prefix + name, JSON.stringify(value))
  } catch {
    // It lasts as long as the page.
  }
  memory.set(name, value)
  listeners.get(name)?.forEach((f) => f())
}

const memory = new Map<string, unknown>()

function current<T>(name: string, otherwise: T): T {
  if (!memory.has(name)) memory.set(name, load(name, otherwise))
  return memory.get(name) as T
}

// useStored is a state that all parts of the page share and the browser keeps.
export function useStored<T>(name: string, otherwise: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => current(name, otherwise))
  useEffect(() => {
    const changed = () => setValue(current(name, otherwise))
    if (!listeners.has(name)) listeners.set(name, new Set())
    listeners.get(name)!.add(changed)
    return () => {
      listeners.get(name)!.delete(changed)
    }
  }, [name])
  return [value, (v: T) => save(name, v)]
}

const historyMax = 100

// remember puts an expression at the top of the history.
export function remember(expr: string) {
  const all = current<string[]>('history', [])
  save('history', [expr, ...all.filter((e) => e !== expr)].slice(0, historyMax))
}

export type Theme = 'system' | 'light' | 'dark'
export const useTheme = () => useStored<Theme>('theme', 'system')
export const useUTC = () => useStored<boolean>('utc', false)

// dark reports whether the page is dark now.
export function isDark(theme: Theme): boolean {
  return theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
}
