package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestHelm(t *testing.T) {
	t.Parallel()
	reg := startRegistry(t)
	m := reg.machine(t)
	m.write(t, "chart/Chart.yaml", "apiVersion: v2\nname: ferry\nversion: 1.2.3\ndescription: crosses the bay\n")
	m.write(t, "chart/values.yaml", "crew: 3\n")
	m.write(t, "chart/templates/notes.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ferry\ndata:\n  crew: \"{{ .Values.crew }}\"\n")
	m.run(t, "helm package chart")

	t.Run("logs in", func(t *testing.T) {
		m.refusedWith(t, reg.password, "x509", "helm registry login --username alice --password-stdin $REG")
		m.refusedWith(t, wrongPassword, "unauthorized", "helm registry login --ca-file $CA --username alice --password-stdin $REG")
		m.refused(t, "credential", "helm push --ca-file $CA ferry-1.2.3.tgz oci://$REG/charts")
		m.runWith(t, reg.password, "helm registry login --ca-file $CA --username alice --password-stdin $REG")
	})
	t.Run("pushes and pulls a chart", func(t *testing.T) {
		m.run(t, "helm push --ca-file $CA ferry-1.2.3.tgz oci://$REG/charts")
		m.mkdir(t, "pulled")
		m.run(t, "helm pull --ca-file $CA --destination pulled --version 1.2.3 oci://$REG/charts/ferry")
		sameFile(t, filepath.Join(m.home, "ferry-1.2.3.tgz"), filepath.Join(m.home, "pulled", "ferry-1.2.3.tgz"))
	})
	t.Run("finds the newest version by the list of tags", func(t *testing.T) {
		m.run(t, "helm package --version 1.10.0+build.7 chart")
		m.run(t, "helm push --ca-file $CA ferry-1.10.0+build.7.tgz oci://$REG/charts")
		chart := m.run(t, "helm show chart --ca-file $CA oci://$REG/charts/ferry")
		if !strings.Contains(chart, "version: 1.10.0+build.7") || !strings.Contains(chart, "crosses the bay") {
			t.Errorf("the newest chart is\n%s", chart)
		}
		same(t, "crew: 3", m.run(t, "helm show values --ca-file $CA --version ^1.2.0 oci://$REG/charts/ferry"))
	})
	t.Run("renders a chart from the registry", func(t *testing.T) {
		rendered := m.run(t, "helm template --ca-file $CA --version 1.2.3 --set crew=5 mine oci://$REG/charts/ferry")
		if !strings.Contains(rendered, `crew: "5"`) {
			t.Errorf("the chart renders as\n%s", rendered)
		}
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "helm registry logout $REG")
		m.refused(t, "credential", "helm pull --ca-file $CA --version 1.2.3 oci://$REG/charts/ferry")
	})
}
