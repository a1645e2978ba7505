"""Drawing: charts, plots and marks, as SVG and PDF."""
