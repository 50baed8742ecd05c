import { defineConfig } from 'vite'

// Assets have relative addresses and fixed names: the application works under
// any route prefix, and dist changes only where the source did.
export default defineConfig({
  base: './',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    rollupOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: '[name][extname]',
      },
    },
  },
  server: {
    proxy: { '/api': 'http://127.0.0.1:7480', '/-': 'http://127.0.0.1:7480' },
  },
})
