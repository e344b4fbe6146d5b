addEventListener('DOMContentLoaded', () => {
  SwaggerUIBundle({ url: 'openapi.json', dom_id: '#paths', deepLinking: true });
});
